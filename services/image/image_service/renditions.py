"""A source and a recipe in, a rendition out: decode, resample, colours, encode.

Pure: bytes to bytes, no I/O. Runs in worker processes, since it meets untrusted pixels.
"""

from __future__ import annotations

import msgspec
import PIL
from imagesystem.errors import Rejected
from PIL import Image

from image_service import colours, decoding, encoding, geometry, resampling
from image_service.formats import FORMATS, Encoding, Format
from image_service.geometry import Orientation, Plan, Size
from image_service.limits import Limits
from image_service.parameters import Recipe

__all__ = ["ENGINE", "Rendition", "render"]

#: Part of every rendition's name: what changes the bytes must change this.
ENGINE = f"1 pillow {PIL.__version__}"


class Rendition(msgspec.Struct, frozen=True, kw_only=True):
    """The encoded picture and its size in pixels."""

    data: bytes
    width: int
    height: int


def render(source: bytes, recipe: Recipe, limits: Limits) -> Rendition:
    """Make the rendition.

    Raises `Rejected`: 422 `corrupt_pixels` or `too_many_pixels` (the source), 400
    `output_too_large` (the recipe).
    """
    format_ = FORMATS[recipe.format]
    image = decoding.open_(source, limits)
    orientation = decoding.orientation(image)
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
        data=encoding.encode(picture, format_, Encoding(quality=recipe.quality or 0)),
        width=picture.width,
        height=picture.height,
    )


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
    """Resample the plan's box to the plan's size, both as stored.

    Turning upright happens afterwards, on the few pixels that are left.
    """
    box, size = orientation.stored(plan.box, image.size), orientation.turned(plan.size)
    decoded, box = decoding.pixels(image, box, size, limits)
    return resampling.resize(decoded, size, box)


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
