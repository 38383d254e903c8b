"""A run before it begins: its pictures, its recipe, its labels; everything is checked here."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import yaml  # type: ignore[import-untyped]

from augmentation_service.datasets import Category, Given
from augmentation_service.engine import ENGINE, BadRecipe, Recipe, Rules, parse
from augmentation_service.folders.errors import BadRun
from augmentation_service.folders.jobs import Share, as_json, written
from augmentation_service.folders.labels import Format, find
from augmentation_service.mixing import others_needed

__all__ = ["Order", "Plan", "planned"]

_EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"}
#: Variants of one picture that a worker makes in a row: the picture is decoded for each, but sent
#: and read once.
_SHARE = 16
#: Others that are tried where one cannot be read, beyond those that are needed.
_SPARE = 4
_MAX_STEPS = 256


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for, as options."""

    folder: Path
    recipe: Path
    out: Path
    variants: int = 1
    seed: int = 0
    format: str = "png"
    quality: int | None = None
    labels: Format | None = None
    labels_path: Path | None = None
    labels_out: Format | None = None
    keypoints: int = 0
    rules: Rules = Rules()
    max_pixels: int = 100_000_000


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A run that can begin: `pictures` are names in the folder, in order."""

    order: Order
    recipe: Recipe
    steps: Any
    pictures: list[str]
    givens: dict[str, Given]
    categories: list[Category]

    @property
    def total(self) -> int:
        """How many variants it makes."""
        return len(self.pictures) * self.order.variants

    def keys(self) -> list[str]:
        """Return what each picture's variants are called: its path without the extension.

        Pictures that differ in their extension alone keep it.
        """
        paths = [PurePosixPath(name) for name in self.pictures]
        stems = Counter(str(path.with_suffix("")) for path in paths)
        return [
            str(path.with_suffix(""))
            if stems[str(path.with_suffix(""))] == 1
            else str(path.with_name(path.name.replace(".", "_")))
            for path in paths
        ]

    def shares(self) -> Iterator[Share]:
        """Yield the work, in pieces for one worker each."""
        order, mixes = self.order, others_needed(self.recipe)
        for place, (name, key) in enumerate(zip(self.pictures, self.keys(), strict=True)):
            for first in range(0, order.variants, _SHARE):
                last = min(first + _SHARE, order.variants)
                others = [self._others(place, variant, mixes) for variant in range(first, last)]
                named = {other for several in others for other in several}
                yield Share(
                    folder=str(order.folder),
                    out=str(order.out),
                    name=name,
                    key=key,
                    first=first,
                    last=last,
                    recipe=self.recipe,
                    seed=order.seed,
                    format=order.format,
                    quality=order.quality,
                    max_pixels=order.max_pixels,
                    rules=order.rules,
                    given=self.givens.get(name, Given() if order.labels else None),
                    mixes=mixes,
                    others=others,
                    others_given={n: self.givens[n] for n in named if n in self.givens},
                )

    def _others(self, place: int, variant: int, mixes: int) -> list[str]:
        """Return pictures to mix in: the same ones in every run, a few more than are needed."""
        every = len(self.pictures) - 1
        wanted = min(mixes + _SPARE, every) if mixes else 0
        chosen: list[str] = []
        draw = 0
        while len(chosen) < wanted:
            key = f"{self.order.seed}/{self.pictures[place]}/{variant}/{draw}".encode()
            drawn = int.from_bytes(hashlib.sha256(key).digest()[:8], "big") % every
            name = self.pictures[(place + 1 + drawn) % len(self.pictures)]
            if name not in chosen:
                chosen.append(name)
            draw += 1
        return chosen


def planned(order: Order) -> Plan:
    """Check everything, and write down in OUT what its variants are made by; raises `BadRun`."""
    steps = _steps(order.recipe)
    try:
        recipe = parse(steps, max_steps=_MAX_STEPS)
    except BadRecipe as error:
        faults = "\n".join(f"  {fault.path}: {fault.message}" for fault in error.faults)
        raise BadRun(f"{order.recipe} is no recipe:\n{faults}") from error
    pictures = _pictures(order)
    needed = others_needed(recipe) + 1
    if len(pictures) < needed:
        raise BadRun(f"the recipe mixes {needed} pictures, {order.folder} has {len(pictures)}")
    givens: dict[str, Given] = {}
    categories: list[Category] = []
    if order.labels is not None:
        found = find(order.labels, order.labels_path or order.folder, pictures, order.keypoints)
        givens, categories = found.givens, found.categories
    plan = Plan(
        order=order,
        recipe=recipe,
        steps=steps,
        pictures=pictures,
        givens=givens,
        categories=categories,
    )
    _claim(plan)
    return plan


def _steps(path: Path) -> Any:
    try:
        # JSON is YAML too.
        read = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise BadRun(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise BadRun(f"{path} is neither YAML nor JSON: {error}") from error
    return read["recipe"] if isinstance(read, dict) and set(read) == {"recipe"} else read


def _pictures(order: Order) -> list[str]:
    if not order.folder.is_dir():
        raise BadRun(f"{order.folder} is no folder")
    out = order.out.resolve()
    found = [
        path.relative_to(order.folder).as_posix()
        for path in order.folder.rglob("*")
        if path.suffix.lower() in _EXTENSIONS
        and path.is_file()
        and out not in path.resolve().parents
    ]
    if not found:
        raise BadRun(f"there is no picture in {order.folder}")
    return sorted(found)


def _claim(plan: Plan) -> None:
    """Write down how OUT is made; raises `BadRun` if it was made otherwise."""
    order, path = plan.order, plan.order.out / "manifest.json"
    about = {
        "engine": ENGINE,
        "recipe": plan.steps,
        "seed": order.seed,
        "format": order.format,
        "quality": order.quality,
        "labels": order.labels,
        "rules": msgspec.to_builtins(order.rules),
        "classes": [category.name for category in plan.categories],
    }
    if path.exists():
        try:
            before = msgspec.json.decode(path.read_bytes())
        except msgspec.DecodeError:
            before = {}
        other = [name for name, value in about.items() if before.get(name) != _plain(value)]
        if other:
            raise BadRun(
                f"{order.out} was made with another {', '.join(other)}: give another --out, "
                "or remove it"
            )
        return
    try:
        if order.out.exists() and any(order.out.iterdir()):
            raise BadRun(f"{order.out} is not empty and was not made by this command")
        written(path, as_json(about))
    except OSError as error:
        raise BadRun(f"{order.out}: {error.strerror}") from error


def _plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))
