"""Making parts of a picture unrecognisable, before anything else is done to its pixels.

What is left of a box is at most `GRID` times `GRID` means: the larger the box, the coarser, so
that nothing can be computed back but those. `fill` leaves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from PIL import Image

from image_service.geometry import Box, Size

__all__ = ["STYLES", "redacted"]

GRID = {"pixelate": 6, "blur": 4}


def _grid(size: Size, most: int) -> Size:
    """Return cells across and down: at most `most`, none smaller than four pixels."""
    width, height = (max(1, min(most, side // 4)) for side in size)
    return width, height


def _pixelated(region: Image.Image) -> Image.Image:
    small = region.resize(_grid(region.size, GRID["pixelate"]), Image.Resampling.BOX)
    return small.resize(region.size, Image.Resampling.NEAREST)


def _blurred(region: Image.Image) -> Image.Image:
    small = region.resize(_grid(region.size, GRID["blur"]), Image.Resampling.BOX)
    return small.resize(region.size, Image.Resampling.BICUBIC)


def _filled(region: Image.Image) -> Image.Image:
    opaque = (0,) * (len(region.getbands()) - 1) + (255,)
    has_alpha = region.mode in ("LA", "RGBA")
    return Image.new(region.mode, region.size, opaque if has_alpha else 0)


STYLES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "pixelate": _pixelated,
    "blur": _blurred,
    "fill": _filled,
}


def redacted(picture: Image.Image, boxes: Sequence[Box], style: str) -> Image.Image:
    """Return the picture with the boxes made unrecognisable.

    `picture`: L, LA, RGB or RGBA; `boxes`: pixels, fractions allowed; every pixel that a box
    touches is taken. The order of overlapping boxes does not weaken any.
    """
    picture = picture.copy()
    for left, top, right, bottom in boxes:
        box = (
            max(0, math.floor(left)),
            max(0, math.floor(top)),
            min(picture.width, math.ceil(right)),
            min(picture.height, math.ceil(bottom)),
        )
        if box[0] < box[2] and box[1] < box[3]:
            picture.paste(STYLES[style](picture.crop(box)), box)
    return picture
