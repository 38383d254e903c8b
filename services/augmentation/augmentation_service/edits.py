"""Whole-picture operations, as the image service has them: resize, crop, filter, enhance, convert.

What `batch` and `scale` tasks do. An operation is a struct (what may be asked for) and a function
(what is done), joined in one table. Runs in worker processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import numpy as np
from imagesystem.errors import Rejected
from msgspec import Meta
from PIL import Image as Pillow
from PIL import ImageEnhance, ImageFilter

from augmentation_service import pictures
from augmentation_service.engine import pixel_digest

__all__ = ["OPERATIONS", "Convert", "Crop", "Edit", "EditJob", "Edited", "Resize", "edit"]

Side: TypeAlias = Annotated[int, Meta(ge=1, le=65_500)]
Offset: TypeAlias = Annotated[int, Meta(ge=0, le=65_499)]
Factor: TypeAlias = Annotated[float, Meta(ge=0, le=10)]
FormatName: TypeAlias = Literal["png", "jpeg", "webp"]
Quality: TypeAlias = Annotated[int, Meta(ge=1, le=100)]


class _Edit(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="operation",
    tag=str.lower,
):
    """One operation, named by its field `operation`."""


class Resize(_Edit, frozen=True, kw_only=True):
    """To `width` × `height` pixels; with `preserve_ratio`, to the largest that fits in them.

    Of a side that is not given, the ratio decides.
    """

    width: Side | None = None
    height: Side | None = None
    preserve_ratio: bool = True


class Crop(_Edit, frozen=True, kw_only=True):
    """The rectangle of `width` × `height` pixels whose upper left corner is at (`x`, `y`)."""

    x: Offset = 0
    y: Offset = 0
    width: Side
    height: Side


class Filter(_Edit, frozen=True, kw_only=True):
    """A filter; `radius` in pixels is for blur and sharpen."""

    name: Literal["blur", "sharpen", "smooth", "detail", "edges", "emboss", "grayscale"]
    radius: Annotated[float, Meta(ge=0, le=100)] = 2.0


class Enhance(_Edit, frozen=True, kw_only=True):
    """Factors, 1 leaves as it is, 0 takes all away; done in this order."""

    brightness: Factor = 1.0
    contrast: Factor = 1.0
    saturation: Factor = 1.0
    sharpness: Factor = 1.0


class Convert(_Edit, frozen=True, kw_only=True):
    """The format of the result, and its quality (for jpeg and webp)."""

    format: FormatName
    quality: Quality | None = None


Edit: TypeAlias = Resize | Crop | Filter | Enhance | Convert


class EditJob(msgspec.Struct, frozen=True, kw_only=True):
    """What to make of a picture: operations one after the other; sizes as in the settings."""

    operations: tuple[Edit, ...]
    source: str
    format: str
    max_pixels: int
    quality: int | None = None


class Edited(msgspec.Struct, frozen=True, kw_only=True):
    """A result as a file, and how it was made."""

    data: bytes
    media_type: str
    width: int
    height: int
    receipt: dict[str, Any]


def _target(size: tuple[int, int], asked: Resize) -> tuple[int, int]:
    width, height = size
    if asked.width is None and asked.height is None:
        raise Rejected(400, "invalid_request", "resize needs a width or a height")
    if asked.width is None or asked.height is None or asked.preserve_ratio:
        scale = min(
            (asked.width or 1 << 30) / width,
            (asked.height or 1 << 30) / height,
        )
        return max(1, round(width * scale)), max(1, round(height * scale))
    return asked.width, asked.height


def _resize(image: Pillow.Image, asked: Resize, max_pixels: int) -> Pillow.Image:
    width, height = _target(image.size, asked)
    if width * height > max_pixels:
        raise Rejected(
            400,
            "output_too_large",
            f"{width} x {height} pixels are too many",
            limit="MAX_PIXELS",
            allowed=max_pixels,
            actual=width * height,
        )
    return image.resize((width, height), Pillow.Resampling.LANCZOS)


def _crop(image: Pillow.Image, asked: Crop, max_pixels: int) -> Pillow.Image:
    del max_pixels
    right, lower = asked.x + asked.width, asked.y + asked.height
    if right > image.width or lower > image.height:
        raise Rejected(
            400,
            "crop_outside",
            f"the rectangle ends at ({right}, {lower}), "
            f"the picture has {image.width} x {image.height} pixels",
        )
    return image.crop((asked.x, asked.y, right, lower))


def _blurred(image: Pillow.Image, radius: float) -> Pillow.Image:
    # With colours weighted by opacity: what is transparent does not bleed.
    if image.mode == "RGBA":
        return image.convert("RGBa").filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
    return image.filter(ImageFilter.GaussianBlur(radius))


def _grey(image: Pillow.Image, _radius: float) -> Pillow.Image:
    return image.convert("L")


def _kernel(make: Callable[[float], Any]) -> Callable[[Pillow.Image, float], Pillow.Image]:
    return lambda image, radius: image.filter(make(radius))


#: A filter, and whether it minds opacity itself; the others are given the colours alone.
_FILTERS: dict[str, tuple[Callable[[Pillow.Image, float], Pillow.Image], bool]] = {
    "blur": (_blurred, True),
    "sharpen": (_kernel(ImageFilter.UnsharpMask), False),
    "smooth": (_kernel(lambda _: ImageFilter.SMOOTH), False),
    "detail": (_kernel(lambda _: ImageFilter.DETAIL), False),
    "edges": (_kernel(lambda _: ImageFilter.FIND_EDGES), False),
    "emboss": (_kernel(lambda _: ImageFilter.EMBOSS), False),
    "grayscale": (_grey, False),
}


def _filter(image: Pillow.Image, asked: Filter, max_pixels: int) -> Pillow.Image:
    del max_pixels
    apply, minds_opacity = _FILTERS[asked.name]
    if image.mode != "RGBA" or minds_opacity:
        return apply(image, asked.radius)
    filtered = apply(image.convert("RGB"), asked.radius).convert("RGB")
    filtered.putalpha(image.getchannel("A"))
    return filtered


_ENHANCERS: dict[str, Callable[[Pillow.Image], ImageEnhance._Enhance]] = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}


def _enhance(image: Pillow.Image, asked: Enhance, max_pixels: int) -> Pillow.Image:
    del max_pixels
    for name, enhancer in _ENHANCERS.items():
        factor: float = getattr(asked, name)
        if factor != 1.0:
            image = enhancer(image).enhance(factor)
    return image


def _convert(image: Pillow.Image, asked: Convert, max_pixels: int) -> Pillow.Image:
    del asked, max_pixels  # of use when the file is written
    return image


#: What is done for each kind of operation.
OPERATIONS: dict[type[Any], Callable[[Pillow.Image, Any, int], Pillow.Image]] = {
    Resize: _resize,
    Crop: _crop,
    Filter: _filter,
    Enhance: _enhance,
    Convert: _convert,
}


def edit(data: bytes, job: EditJob) -> Edited:
    """Decode, do every operation, encode.

    Raises what `pictures.decode` and `pictures.encode` raise, and `Rejected` 400
    `output_too_large`, `crop_outside`.
    """
    array = pictures.decode(data, job.max_pixels)
    image = Pillow.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    name, quality = job.format, job.quality
    for operation in job.operations:
        image = OPERATIONS[type(operation)](image, operation, job.max_pixels)
        if isinstance(operation, Convert):
            name, quality = operation.format, operation.quality
    result = np.asarray(image, dtype=np.uint8)
    result = result[..., None] if result.ndim == 2 else result
    return Edited(
        data=pictures.encode(result, pictures.FORMATS[name], quality),
        media_type=pictures.FORMATS[name].media_type,
        width=image.width,
        height=image.height,
        receipt={
            "source": job.source,
            "operations": msgspec.to_builtins(job.operations),
            "width": image.width,
            "height": image.height,
            "pixels": pixel_digest(result),
        },
    )
