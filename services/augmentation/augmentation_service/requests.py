"""What a client may ask for: the fields of a preview, from JSON or from a form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from imagesystem.errors import Rejected

from augmentation_service.engine import MAX_SEED, BadRecipe, Box, Keypoint, Labels, Recipe, parse
from augmentation_service.rendering import Job

__all__ = [
    "Preview",
    "PreviewOfImage",
    "Quality",
    "Seed",
    "converted",
    "decoded",
    "from_form",
    "from_json",
    "invalid",
    "job_of",
    "recipe_of",
]

W = TypeVar("W", bound=msgspec.Struct)
Seed: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEED)]
VariantNumber: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Quality: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=100)]
MAX_LABELS = 10_000
Boxes: TypeAlias = Annotated[list[Box], msgspec.Meta(max_length=MAX_LABELS)]
Keypoints: TypeAlias = Annotated[list[Keypoint], msgspec.Meta(max_length=MAX_LABELS)]


class Preview(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One variant of a picture that comes with the request.

    `recipe` as `augmentation_service.engine.recipes` describes; without boxes and keypoints,
    none come back; `quality` is for jpeg and webp.
    """

    recipe: Any
    seed: Seed = 0
    variant: VariantNumber = 0
    format: Literal["png", "jpeg", "webp"] = "png"
    quality: Quality | None = None
    boxes: Boxes | None = None
    keypoints: Keypoints | None = None


class PreviewOfImage(Preview, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One variant of a picture that was uploaded before."""

    image_id: str


#: Fields of a form that are JSON.
_JSON_FIELDS = ("recipe", "boxes", "keypoints")


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


def from_json(data: bytes) -> PreviewOfImage:
    """Return the preview asked for; raises `Rejected` 400 `invalid_request`."""
    return converted(decoded(data, "the body"), PreviewOfImage, strict=True)


def from_form(fields: Mapping[str, str]) -> Preview:
    """Return the preview asked for; raises `Rejected` 400 `invalid_request`."""
    values: dict[str, Any] = dict(fields)
    for name in _JSON_FIELDS:
        if name in values:
            values[name] = decoded(values[name], f"the field `{name}`")
    return converted(values, Preview, strict=False)


def job_of(preview: Preview, source: str, *, max_pixels: int, max_steps: int) -> Job:
    """Return the job for a worker; `source` is SHA-256 of the picture.

    Raises `Rejected` 400 with the first fault's code, limit and values; its message has all.
    """
    labels = None
    if preview.boxes is not None or preview.keypoints is not None:
        labels = Labels(boxes=preview.boxes or [], keypoints=preview.keypoints or [])
    return Job(
        recipe=recipe_of(preview.recipe, max_steps),
        seed=preview.seed,
        source=source,
        variant=preview.variant,
        format=preview.format,
        quality=preview.quality,
        labels=labels,
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
