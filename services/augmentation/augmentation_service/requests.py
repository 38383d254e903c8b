"""What a client may ask for: the fields of a preview, from JSON or from a form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from imagesystem.errors import Rejected

from augmentation_service.datasets import of_labels
from augmentation_service.engine import (
    MAX_SEED,
    BadRecipe,
    Box,
    Keypoint,
    Labels,
    Polygon,
    Receipt,
    Recipe,
    RotatedBox,
    Rules,
    parse,
)
from augmentation_service.rendering import Job

__all__ = [
    "Preview",
    "PreviewOfImage",
    "Quality",
    "Replay",
    "ReplayOfImage",
    "Seed",
    "converted",
    "decoded",
    "from_form",
    "from_json",
    "invalid",
    "job_of",
    "recipe_of",
    "recipe_text",
]

W = TypeVar("W", bound=msgspec.Struct)
Seed: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEED)]
VariantNumber: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Quality: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=100)]
MAX_LABELS = 10_000
Boxes: TypeAlias = Annotated[list[Box], msgspec.Meta(max_length=MAX_LABELS)]
Keypoints: TypeAlias = Annotated[list[Keypoint], msgspec.Meta(max_length=MAX_LABELS)]
Polygons: TypeAlias = Annotated[list[Polygon], msgspec.Meta(max_length=MAX_LABELS)]
RotatedBoxes: TypeAlias = Annotated[list[RotatedBox], msgspec.Meta(max_length=MAX_LABELS)]
Others: TypeAlias = Annotated[list[str], msgspec.Meta(max_length=16)]


class _Labelled(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What comes with a picture; without any labels, none come back.

    `others`: ids of images, for steps that mix several pictures.
    """

    boxes: Boxes | None = None
    keypoints: Keypoints | None = None
    polygons: Polygons | None = None
    rotated_boxes: RotatedBoxes | None = None
    rules: Rules = Rules()
    others: Others = []

    @property
    def labels(self) -> Labels | None:
        """The labels, if there are any."""
        given = (self.boxes, self.keypoints, self.polygons, self.rotated_boxes)
        if all(labels is None for labels in given):
            return None
        return Labels(
            boxes=self.boxes or [],
            keypoints=self.keypoints or [],
            polygons=self.polygons or [],
            rotated_boxes=self.rotated_boxes or [],
            rules=self.rules,
        )


class Preview(_Labelled, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A variant of a picture that comes with the request, or a contact sheet of several.

    `recipe` as `augmentation_service.engine.recipes` describes, or the name of one that is kept;
    `quality` is for jpeg and webp. `draw`: labels are drawn on the picture. With `variants`, that
    many from `variant` on, side by side, each fitted into `tile` pixels.
    """

    recipe: Any
    seed: Seed = 0
    variant: VariantNumber = 0
    format: Literal["png", "jpeg", "webp"] = "png"
    quality: Quality | None = None
    draw: bool = False
    variants: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    tile: Annotated[int, msgspec.Meta(ge=16, le=1024)] = 256


class PreviewOfImage(Preview, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same of a picture that was uploaded before."""

    image_id: str


class Replay(_Labelled, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A variant made again from its receipt, of the picture that comes with the request.

    The labels are those that were given then, if a step looked at them.
    """

    receipt: Receipt
    format: Literal["png", "jpeg", "webp"] = "png"
    quality: Quality | None = None


class ReplayOfImage(Replay, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same of a picture that was uploaded before."""

    image_id: str


#: Fields of a form that are JSON.
_JSON_FIELDS = (
    "boxes",
    "keypoints",
    "polygons",
    "rotated_boxes",
    "rules",
    "others",
    "receipt",
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(@[0-9]+)?")


def invalid(message: str) -> Rejected:
    """Return the refusal of a request that cannot be read."""
    return Rejected(400, "invalid_request", message[:500])


def decoded(data: bytes | str, what: str) -> Any:
    """Return what JSON says; raises `Rejected` 400 `invalid_request`."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"{what} is not JSON: {error}") from error
    except RecursionError as error:
        raise invalid(f"{what} is nested too deeply") from error


def converted(values: Any, kind: type[W], *, strict: bool) -> W:
    """Return the values as `kind`; not strict: from texts. Raises `Rejected` 400."""
    try:
        return msgspec.convert(values, kind, strict=strict)
    except (msgspec.ValidationError, RecursionError) as error:
        raise invalid(str(error)) from error


def recipe_text(text: str) -> Any:
    """Return the recipe in a field of a form: JSON, or the name of one that is kept."""
    return text if _NAME.fullmatch(text) else decoded(text, "the field `recipe`")


def from_json(data: bytes, kind: type[W]) -> W:
    """Return what is asked for; raises `Rejected` 400 `invalid_request`."""
    return converted(decoded(data, "the body"), kind, strict=True)


def from_form(fields: Mapping[str, str], kind: type[W]) -> W:
    """Return what is asked for; raises `Rejected` 400 `invalid_request`."""
    values: dict[str, Any] = dict(fields)
    if "recipe" in values:
        values["recipe"] = recipe_text(values["recipe"])
    for name in _JSON_FIELDS:
        if name in values:
            values[name] = decoded(values[name], f"the field `{name}`")
    return converted(values, kind, strict=False)


def job_of(preview: Preview, recipe: Recipe, source: str, *, max_pixels: int) -> Job:
    """Return the job for a worker; `source` is SHA-256 of the picture."""
    labels = preview.labels
    return Job(
        recipe=recipe,
        seed=preview.seed,
        source=source,
        variant=preview.variant,
        format=preview.format,
        quality=preview.quality,
        given=None if labels is None else of_labels(labels),
        rules=preview.rules,
        draw=preview.draw,
        max_pixels=max_pixels,
    )


def recipe_of(source: object, max_steps: int) -> Recipe:
    """Return the recipe; raises `Rejected` 400 with the first fault, its message has all."""
    try:
        return parse(source, max_steps=max_steps)
    except BadRecipe as error:
        first = error.faults[0]
        raise Rejected(
            400,
            first.code,
            str(error),
            limit="MAX_STEPS" if first.code == "too_many_steps" else first.path,
            allowed=first.allowed,
            actual=first.actual,
        ) from error
