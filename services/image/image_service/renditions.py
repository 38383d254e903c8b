"""A source and a recipe in, a rendition out.

Pure: bytes to bytes, no I/O. Runs in worker processes, since it meets untrusted pixels. The
order of steps: frame, redact, crop and turn, resample, sRGB, filters, background, watermark,
text, corners, encode.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import PIL
from PIL import Image

from image_service import animation, colours, decoding, heap, layout, saliency, trimming
from image_service.formats import FORMATS
from image_service.geometry import Orientation
from image_service.layout import Layout
from image_service.limits import Limits
from image_service.recipes import Recipe, Source, Subject
from image_service.resampling import RESAMPLER
from image_service.studio import Studio, drawn_over

__all__ = ["ENGINE", "Rendition", "describe", "render"]

#: Part of every rendition's name: what changes the bytes must change this.
ENGINE = f"5 pillow {PIL.__version__} {RESAMPLER}"
#: From here on a picture leaves behind more memory than the next one can use.
LARGE_PIXELS = 4_000_000


class Rendition(msgspec.Struct, frozen=True, kw_only=True):
    """The encoded picture and its size in pixels."""

    data: bytes
    width: int
    height: int


def render(
    source: bytes, recipe: Recipe, limits: Limits, others: Mapping[str, bytes] | None = None
) -> Rendition:
    """Make the rendition; `others` has the bytes of the images in `recipe.sources()`.

    Raises `Rejected`: 422 `corrupt_pixels`, `too_many_pixels`, `animation_too_large`,
    `no_such_frame` (the source), 400 `output_too_large`, `outside_the_picture`, 422
    `max_bytes_exceeded` (the recipe). `Transient`: `out_of_memory`.
    """
    large = True
    try:
        rendition, pixels = _render(source, recipe, limits, others or {})
        large = pixels > LARGE_PIXELS
    except MemoryError as error:
        raise decoding.undecodable(error, limits) from error
    finally:
        if large:
            heap.give_back()
    return rendition


def _render(
    source: bytes, recipe: Recipe, limits: Limits, others: Mapping[str, bytes]
) -> tuple[Rendition, int]:
    """Return it, and how many pixels its source has."""
    format_ = FORMATS[recipe.format]
    image = decoding.open_(source, limits)
    exif = decoding.orientation(image)
    many = animation.frame_count(image, limits) if recipe.animate else 1
    if many > 1:
        animation.check(image, limits)
    elif recipe.frame:
        animation.show(image, recipe.frame, limits)
    plan = _laid_out(source, image, exif, recipe, limits)
    layout.check_output(plan.canvas, format_, limits, many)
    studio = Studio(
        recipe=recipe,
        format=format_,
        exif=exif,
        layout=plan,
        limits=limits,
        mark=drawn_over(recipe, plan, others, limits),
    )
    data = studio.animated(image, many) if many > 1 else studio.still(image)
    rendition = Rendition(data=data, width=plan.canvas[0], height=plan.canvas[1])
    return rendition, image.width * image.height * many


def describe(source: bytes, limits: Limits) -> Source:
    """Return what a picture is, by its header; raises as `render`."""
    image = decoding.open_(source, limits)
    return Source(
        # (What Pillow calls MPO is a JPEG with others behind it.)
        media_type=Image.MIME[image.format] if image.format in decoding.DECODED else "image/jpeg",
        width=image.width,
        height=image.height,
        frames=animation.frame_count(image, limits),
    )


def _laid_out(
    source: bytes, image: Image.Image, exif: Orientation, recipe: Recipe, limits: Limits
) -> Layout:
    area = layout.area_of(image.size, exif, recipe)
    if recipe.trim is not None:
        picture = _whole(image, limits)
        area = trimming.trimmed(picture, area, recipe.trim)
    subjects = recipe.subjects
    if recipe.smart and not subjects:
        x, y = _eye(source, exif, recipe, limits)
        subjects = (Subject(x, y, 0.0, 0.0, 1.0),)
    return layout.lay_out(image.size, exif, recipe, area, subjects)


def _whole(image: Image.Image, limits: Limits) -> Image.Image:
    """Return all pixels as stored, as L, LA, RGB or RGBA."""
    decoded, _ = decoding.pixels(image, (0, 0, *image.size), image.size, limits)
    return colours.to_srgb(decoded, image.info.get("icc_profile"))


def _eye(source: bytes, exif: Orientation, recipe: Recipe, limits: Limits) -> tuple[float, float]:
    """Return where the eye goes, in shares of the upright original."""
    image = decoding.open_(source, limits)
    if recipe.frame:
        animation.show(image, recipe.frame, limits)
    longest = max(image.size)
    side = saliency.SIDE
    small = tuple(max(1, pixels * side // longest) for pixels in image.size)
    decoded, _ = decoding.pixels(image, (0, 0, *image.size), (small[0], small[1]), limits)
    picture = colours.to_srgb(decoded, None)
    picture.thumbnail((2 * side, 2 * side), Image.Resampling.BOX)
    if exif.transpose is not None:
        picture = picture.transpose(exif.transpose)
    return saliency.eye(colours.flattened(picture))
