"""Labels of the pictures in a folder: where they are looked for, and where those of variants go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias

import msgspec
import yaml  # type: ignore[import-untyped]

from augmentation_service import labels
from augmentation_service.datasets import Category, Given, categories_of, coco, voc, yolo
from augmentation_service.engine import BadLabels
from augmentation_service.folders.errors import BadRun
from augmentation_service.folders.jobs import Record, written

__all__ = ["Format", "Found", "find", "write"]

Format: TypeAlias = Literal["coco", "yolo", "voc"]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The labels by picture, the categories, and what was wrong with some."""

    givens: dict[str, Given]
    categories: list[Category]


def find(form: Format, path: Path, pictures: Sequence[str], keypoints: int = 0) -> Found:
    """Return the labels of `pictures`, names in a folder.

    `path`: the COCO document; or the folder with a text (XML) file for each picture, at the same
    place in it and of the same name. Raises `BadRun`.
    """
    try:
        found = _coco(path, pictures) if form == "coco" else _files(form, path, pictures, keypoints)
        for name, given in found.givens.items():
            labels.check(given, name)
    except BadLabels as error:
        raise BadRun(f"labels: {error}") from error
    except OSError as error:
        raise BadRun(f"labels: {error.filename}: {error.strerror}") from error
    return found


def _coco(path: Path, pictures: Sequence[str]) -> Found:
    try:
        document = msgspec.json.decode(path.read_bytes(), type=coco.Document)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadLabels(f"{path} is no COCO document: {error}") from error
    by_name, categories = coco.read(document)
    known = set(pictures)
    bases: dict[str, list[str]] = {}
    for name in pictures:
        bases.setdefault(PurePosixPath(name).name, []).append(name)
    givens: dict[str, Given] = {}
    for file_name, given in by_name.items():
        same = bases.get(coco.base_name(file_name), [])
        if file_name in known:
            givens[file_name] = given
        elif len(same) == 1:
            givens[same[0]] = given
        # else: the document is of more pictures than are here
    return Found(givens=givens, categories=categories)


def _files(form: Format, path: Path, pictures: Sequence[str], keypoints: int) -> Found:
    if not path.is_dir():
        raise BadLabels(f"{path} is no folder")
    suffix = ".txt" if form == "yolo" else ".xml"
    texts: dict[str, str] = {}
    for name in pictures:
        file = (path / name).with_suffix(suffix)
        if file.is_file():
            texts[name] = file.read_text(encoding="utf-8", errors="replace")
    if form == "voc":
        givens = {name: voc.read(text, name) for name, text in texts.items()}
        return Found(givens=givens, categories=categories_of(givens.values()))
    names = _names(path)
    givens = {
        name: yolo.read(text, names, keypoints=keypoints, path=name) for name, text in texts.items()
    }
    return Found(givens=givens, categories=yolo.categories(names, texts.values()))


def _names(path: Path) -> list[str]:
    """Return the names of YOLO's classes: of `data.yaml` or `classes.txt`, here or above."""
    for folder in (path, path.parent):
        for file in (folder / "data.yaml", folder / "dataset.yaml"):
            if file.is_file():
                return _yaml_names(file)
        if (folder / "classes.txt").is_file():
            lines = (folder / "classes.txt").read_text(encoding="utf-8").splitlines()
            return [line.strip() for line in lines if line.strip()]
    return []


def _yaml_names(file: Path) -> list[str]:
    try:
        read: Any = yaml.safe_load(file.read_bytes())
    except yaml.YAMLError as error:
        raise BadLabels(f"{file} is no YAML: {error}") from error
    names = read.get("names") if isinstance(read, dict) else None
    if isinstance(names, dict):
        names = [names.get(number) for number in range(len(names))]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadLabels(f"{file}: `names` is no list of names")
    return names


async def write(
    form: Format, out: Path, records: Sequence[Record], categories: Sequence[Category]
) -> None:
    """Write the labels of variants beside their pictures, as data sets of that format do."""
    if form == "coco":

        async def pictures() -> AsyncIterator[coco.Picture]:
            for one in records:
                yield coco.Picture(
                    name=one.file,
                    width=one.width,
                    height=one.height,
                    annotations=one.annotations,
                )

        pieces = [piece async for piece in coco.pieces(pictures, categories, "augmented")]
        written(out / "annotations.json", b"".join(pieces))
        return
    names = [category.name for category in categories]
    for file, data in _each(form, records, names):
        written(out / file, data)
    if form == "yolo":
        written(out / "data.yaml", yolo.data_yaml(names))


def _each(
    form: Format, records: Sequence[Record], names: Sequence[str]
) -> Iterable[tuple[str, bytes]]:
    for one in records:
        stem = PurePosixPath(one.file).relative_to("images").with_suffix("")
        if form == "yolo":
            yield (
                f"labels/{stem}.txt",
                yolo.written((one.width, one.height), names, one.annotations),
            )
        else:
            size = (one.width, one.height, one.channels)
            name = PurePosixPath(one.file).name
            yield f"annotations/{stem}.xml", voc.written(name, size, one.annotations)
