"""A source and a recipe in, a rendition out: decode, resample, colours, encode.

Pure: bytes to bytes, no I/O. Runs in worker processes, since it meets untrusted pixels.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from pathlib import Path

import msgspec
import PIL
from imagesystem.errors import Rejected, Transient
from PIL import AvifImagePlugin, ExifTags, Image

from image_service import colours, geometry
from image_service.formats import FORMATS, Format
from image_service.geometry import ORIENTATIONS, Orientation, Plan, Size
from image_service.parameters import Recipe

__all__ = ["ENGINE", "Limits", "Rendition", "prepare", "render"]

#: Part of every rendition's name: what changes the bytes must change this.
ENGINE = f"1 pillow {PIL.__version__}"
#: What is decoded at all, told from content; everything else is refused before a byte of it
#: reaches a decoder.
DECODED = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The most pixels that are decoded and that are encoded."""

    max_pixels: int
    max_output_pixels: int


class Rendition(msgspec.Struct, frozen=True, kw_only=True):
    """The encoded picture and its size in pixels."""

    data: bytes
    width: int
    height: int


def prepare(max_pixels: int) -> None:
    """Load all codecs and have bombs raise: the initialiser of a worker process."""
    Image.MAX_IMAGE_PIXELS = max_pixels
    Image.init()
    # There is a worker per core: threads within one would only take turns.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    # What decoders remark about odd bytes would only fill the log (libtiff writes to stderr
    # itself); what Pillow says of bombs counts.
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def render(source: bytes, recipe: Recipe, limits: Limits) -> Rendition:
    """Make the rendition.

    Raises `Rejected`: 422 `corrupt_pixels` or `too_many_pixels` (the source), 400
    `output_too_large` (the recipe).
    """
    format_ = FORMATS[recipe.format]
    image = _opened(source, limits)
    if image.format == "PNG":
        # Pillow's getexif() loads a PNG, and a second load() after a failed one "succeeds" with
        # what there is: corrupt pixels would be served as blank ones.
        _load(image, limits)
    orientation = _orientation(image)
    upright = orientation.turned(image.size)
    plan = geometry.plan(upright, recipe.width, recipe.height, recipe.fit)
    _check_output(plan.canvas, format_, limits)
    profile = image.info.get("icc_profile")
    resampled = _resampled(image, plan, orientation, limits)
    if orientation.transpose is not None:
        resampled = resampled.transpose(orientation.transpose)
    picture = colours.without_needless_alpha(colours.to_srgb(resampled, profile))
    picture = _padded(picture, plan.canvas, format_)
    if not format_.alpha:
        picture = colours.flattened(picture)
    elif format_.one_bit:
        picture = colours.with_hard_edges(picture)
    return Rendition(
        data=_encoded(picture, format_, recipe.quality or 0),
        width=picture.width,
        height=picture.height,
    )


def _opened(source: bytes, limits: Limits) -> Image.Image:
    """Read the header, and refuse by it what is too large, before any pixel is decoded."""
    try:
        image = Image.open(io.BytesIO(source), formats=DECODED)
    except Exception as error:  # decoders of untrusted bytes raise anything
        raise _undecodable(error, limits) from error
    pixels = image.width * image.height
    if pixels > limits.max_pixels:
        raise _too_many_pixels(pixels, limits)
    return image


def _too_many_pixels(pixels: int, limits: Limits) -> Rejected:
    return Rejected(
        422,
        "too_many_pixels",
        f"the picture has {pixels} pixels, too many to decode",
        limit="MAX_PIXELS",
        allowed=limits.max_pixels,
        actual=pixels,
    )


def _undecodable(error: Exception, limits: Limits) -> Rejected | Transient:
    """Return what an error of a decoder means."""
    if isinstance(error, MemoryError):
        return Transient("not enough memory to decode the picture", code="out_of_memory")
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        pixels = re.search(r"(\d+) pixels", str(error))
        return _too_many_pixels(int(pixels[1]) if pixels else 0, limits)
    return Rejected(422, "corrupt_pixels", f"the picture cannot be decoded: {error}"[:300])


def _load(image: Image.Image, limits: Limits) -> None:
    try:
        image.load()
    except Exception as error:  # decoders of untrusted bytes raise anything
        raise _undecodable(error, limits) from error


def _orientation(image: Image.Image) -> Orientation:
    """Return what the EXIF tag says; a broken EXIF block says nothing."""
    if image.format == "TIFF":
        return ORIENTATIONS[1]  # Pillow turns TIFFs upright itself, their size included
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001  parsers of untrusted bytes raise anything
        value = None
    return ORIENTATIONS.get(value if isinstance(value, int) else 1, ORIENTATIONS[1])


def _check_output(canvas: Size, format_: Format, limits: Limits) -> None:
    pixels = canvas[0] * canvas[1]
    if pixels > limits.max_output_pixels:
        raise Rejected(
            400,
            "output_too_large",
            f"{canvas[0]} x {canvas[1]} pixels are too many for a rendition: "
            "ask for a smaller width or height",
            limit="MAX_OUTPUT_PIXELS",
            allowed=limits.max_output_pixels,
            actual=pixels,
        )
    if max(canvas) > format_.max_side:
        raise Rejected(
            400,
            "output_too_large",
            f"{format_.name} cannot hold {canvas[0]} x {canvas[1]} pixels",
            limit="side",
            allowed=format_.max_side,
            actual=max(canvas),
        )


def _resampled(
    image: Image.Image, plan: Plan, orientation: Orientation, limits: Limits
) -> Image.Image:
    """Decode, and resample the plan's box to the plan's size, all as stored (not yet upright).

    A JPEG is decoded at the smallest of its own scales (1/2, 1/4, 1/8) that is not below what
    is needed; turning upright happens afterwards, on the few pixels that are left.
    """
    stored_size = image.size
    box = orientation.stored(plan.box, stored_size)
    size = orientation.turned(plan.size)
    try:
        # What the whole picture measures at the scale at which the box has the wanted size.
        drafted = image.draft(
            None,
            (
                max(1, int(stored_size[0] * size[0] / (box[2] - box[0]))),
                max(1, int(stored_size[1] * size[1] / (box[3] - box[1]))),
            ),
        )
        image.load()
        pixels = colours.resamplable(image)
    except Exception as error:  # decoders of untrusted bytes raise anything
        raise _undecodable(error, limits) from error
    if drafted is not None:
        # Exactly the chosen scale; the last column and row may stand for fewer pixels.
        scale = drafted[1][2] / stored_size[0]
        box = (box[0] * scale, box[1] * scale, box[2] * scale, box[3] * scale)
    return resample(pixels, box, size)


def resample(pixels: Image.Image, box: geometry.Box, size: Size) -> Image.Image:
    """Resample `box` of the picture to `size` (Lanczos, alpha-weighted colours)."""
    if box == (0, 0, *pixels.size) and size == pixels.size:
        return pixels
    return pixels.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def _padded(picture: Image.Image, canvas: Size, format_: Format) -> Image.Image:
    """Stand the picture in the middle of the canvas: transparent around it, or else white."""
    if picture.size == canvas:
        return picture
    if not format_.alpha:
        picture = colours.flattened(picture)
        base = Image.new(picture.mode, canvas, "white")
    else:
        picture = picture.convert("LA" if picture.mode in ("L", "LA") else "RGBA")
        base = Image.new(picture.mode, canvas)  # zeros: transparent
    left, top = (canvas[0] - picture.width) // 2, (canvas[1] - picture.height) // 2
    base.paste(picture, (left, top))
    return base


def _encoded(picture: Image.Image, format_: Format, quality: int) -> bytes:
    """Encode pixels and nothing else: no EXIF, comment, profile or text of the source."""
    bare = picture.copy()
    bare.info = {}
    buffer = io.BytesIO()
    bare.save(buffer, format_.pillow, **format_.options(quality))
    return buffer.getvalue()
