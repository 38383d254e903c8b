"""Operations that make one picture of several: mixup, cutmix, mosaic, overlay.

The canvas is the first picture's. The others are made as large as their place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine import alpha
from augmentation_service.engine.declarations import MixingOperation, Placement
from augmentation_service.engine.images import Image, Size, size_of, top_of
from augmentation_service.engine.moves import Affine
from augmentation_service.engine.parameters import Number
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.rectangles import placed
from augmentation_service.engine.warping import scaled

__all__ = ["OPERATIONS"]

_NOWHERE = (0.0, 0.0, 0.0, 0.0)


def _first(size: Size, weight: float = 1.0) -> Placement:
    region = (0.0, 0.0, float(size[0]), float(size[1]))
    return Placement(move=Affine(size=size), region=region, weight=weight)


def _stretched(before: Size, canvas: Size, region: tuple[int, int, int, int]) -> Affine:
    """Return the move that fills a region of the canvas with a whole picture."""
    left, top, right, bottom = region
    return Affine(
        size=canvas,
        xx=(right - left) / before[0],
        x0=float(left),
        yy=(bottom - top) / before[1],
        y0=float(top),
    )


def _whole(before: Size, canvas: Size) -> Affine:
    return _stretched(before, canvas, (0, 0, *canvas))


def _corners(placement: Placement) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(side) for side in placement.region)
    return left, top, right, bottom


def _fitted(image: Image, size: Size) -> Image:
    fitted = scaled(image, size, "linear")
    # OpenCV's means of floats are a rounding error above the highest of them.
    return fitted if image.dtype == np.uint8 else np.minimum(fitted, 1)


# mixup


def _place_mixed(sizes: Sequence[Size], stream: Stream, *, share: float) -> tuple[Placement, ...]:
    del stream
    canvas = sizes[0]
    weight = share / 100
    region = (0.0, 0.0, float(canvas[0]), float(canvas[1])) if weight else _NOWHERE
    second = Placement(move=_whole(sizes[1], canvas), region=region, weight=weight)
    return _first(canvas, 1 - weight), second


def _mix(
    images: Sequence[Image], placements: Sequence[Placement], stream: Stream, *, share: float
) -> Image:
    del placements, stream
    first, second = images
    if not share:
        return first
    other = _fitted(second, size_of(first))
    if first.shape[2] == 4 and not (alpha.is_opaque(first) and alpha.is_opaque(other)):
        return alpha.divided(_sum(alpha.weighted(first), alpha.weighted(other), share / 100))
    mixed = _sum(first, other, share / 100)
    return mixed if first.dtype == np.uint8 else np.minimum(mixed, 1)


def _sum(first: NDArray[Any], second: NDArray[Any], share: float) -> NDArray[Any]:
    # As one row: OpenCV takes some small arrays for scalars.
    rows = first.reshape(1, -1), second.reshape(1, -1)
    mixed: NDArray[Any] = cv2.addWeighted(rows[0], 1 - share, rows[1], share, 0)
    return mixed.reshape(first.shape)


# cutmix


def _place_cut(sizes: Sequence[Size], stream: Stream, *, area: float) -> tuple[Placement, ...]:
    canvas = sizes[0]
    side = math.sqrt(area / 100)
    width, height = (math.floor(length * side + 0.5) for length in canvas)
    left, top, right, bottom = placed(canvas, width, height, stream)
    region = (float(left), float(top), float(right), float(bottom))
    if not width or not height:
        region = _NOWHERE
    return _first(canvas), Placement(move=_whole(sizes[1], canvas), region=region)


def _cut(
    images: Sequence[Image], placements: Sequence[Placement], stream: Stream, *, area: float
) -> Image:
    del stream, area
    left, top, right, bottom = _corners(placements[1])
    if left == right:
        return images[0]
    result = images[0].copy()
    other = _fitted(images[1], size_of(result))
    result[top:bottom, left:right] = other[top:bottom, left:right]
    return result


# mosaic


def _place_tiles(sizes: Sequence[Size], stream: Stream, *, spread: float) -> tuple[Placement, ...]:
    canvas = sizes[0]
    part = spread / 100
    x, y = (round(side * (0.5 + part * (stream.unit() - 0.5))) for side in canvas)
    places = ((0, 0, x, y), (x, 0, canvas[0], y), (0, y, x, canvas[1]), (x, y, *canvas))
    return tuple(_tile(size, canvas, place) for size, place in zip(sizes, places, strict=True))


def _tile(before: Size, canvas: Size, place: tuple[int, int, int, int]) -> Placement:
    """Return where a picture lies that covers a place, its middle in the middle of it."""
    left, top, right, bottom = place
    wide, high = right - left, bottom - top
    if not wide or not high:
        return Placement(move=_whole(before, canvas), region=_NOWHERE)
    width, height = _covering(before, (wide, high))
    x, y = left - (width - wide) // 2, top - (height - high) // 2
    move = _stretched(before, canvas, (x, y, x + width, y + height))
    return Placement(move=move, region=(float(left), float(top), float(right), float(bottom)))


def _covering(before: Size, place: Size) -> Size:
    """Return the size of a picture that just covers a place."""
    factor = max(place[0] / before[0], place[1] / before[1])
    return max(place[0], round(before[0] * factor)), max(place[1], round(before[1] * factor))


def _tiled(
    images: Sequence[Image], placements: Sequence[Placement], stream: Stream, *, spread: float
) -> Image:
    del stream, spread
    result = np.empty_like(images[0])
    for image, placement in zip(images, placements, strict=True):
        left, top, right, bottom = _corners(placement)
        wide, high = right - left, bottom - top
        if not wide or not high:
            continue
        # Cut before it is scaled: a long picture in a square place is mostly cut off.
        result[top:bottom, left:right] = scaled(
            _middle(image, (wide, high)), (wide, high), "linear"
        )
    return result


def _middle(image: Image, proportions: Size) -> Image:
    """Return the largest part in the middle with such proportions."""
    width, height = size_of(image)
    factor = min(width / proportions[0], height / proportions[1])
    wide = min(width, max(1, round(proportions[0] * factor)))
    high = min(height, max(1, round(proportions[1] * factor)))
    left, top = (width - wide) // 2, (height - high) // 2
    return np.ascontiguousarray(image[top : top + high, left : left + wide])


# overlay


def _place_over(
    sizes: Sequence[Size], stream: Stream, *, size: float, opacity: float
) -> tuple[Placement, ...]:
    canvas, other = sizes
    factor = size / 100 * min(canvas[0] / other[0], canvas[1] / other[1])
    width, height = (max(1, round(side * factor)) for side in other)
    region = placed(canvas, min(width, canvas[0]), min(height, canvas[1]), stream)
    left, top, right, bottom = region
    shown = (float(left), float(top), float(right), float(bottom)) if opacity else _NOWHERE
    move = _stretched(other, canvas, region)
    return _first(canvas), Placement(move=move, region=shown, weight=opacity / 100)


def _overlay(
    images: Sequence[Image],
    placements: Sequence[Placement],
    stream: Stream,
    *,
    size: float,
    opacity: float,
) -> Image:
    del stream, size
    left, top, right, bottom = _corners(placements[1])
    if left == right:
        return images[0]
    result = images[0].copy()
    other = _fitted(images[1], (right - left, bottom - top))
    result[top:bottom, left:right] = _over(result[top:bottom, left:right], other, opacity / 100)
    return result


def _over(below: Image, other: Image, opacity: float) -> Image:
    """Return a picture over another of its size (Porter and Duff, SIGGRAPH 1984)."""
    top = np.float32(top_of(below))
    lower, upper = below.astype(np.float32), other.astype(np.float32)
    share: NDArray[np.float32] = np.full((*below.shape[:2], 1), opacity, np.float32)
    if below.shape[2] == 4:
        share *= upper[..., 3:] / top
        rest = lower[..., 3:] / top * (1 - share)
        whole = share + rest
        mixed = (upper * share + lower * rest) / np.maximum(whole, np.float32(1e-6))
        mixed[..., 3:] = whole * top
    else:
        mixed = lower + (upper - lower) * share
    half = np.float32(0.5 if below.dtype == np.uint8 else 0)
    return np.clip(mixed + half, 0, top).astype(below.dtype)


def _percent(name: str, description: str, unit: str, default: float, least: float = 0) -> Number:
    return Number(
        name=name, description=description, unit=unit, least=least, most=100, default=default
    )


OPERATIONS = (
    MixingOperation(
        name="mixup",
        category="mixing",
        description="Blends two pictures; labels weigh as much as theirs is seen (Zhang et al., "
        "2018).",
        parameters=(_percent("share", "how much of the second is seen", "percent", 40),),
        place=_place_mixed,
        mix=_mix,
        pictures=2,
        exact=False,
        tolerance="one of 255 levels",
        neutral={"share": 0.0},
    ),
    MixingOperation(
        name="cutmix",
        category="mixing",
        description="Replaces a rectangle by the same part of another picture (Yun et al., 2019).",
        parameters=(_percent("area", "how large it is", "percent of the area", 30),),
        place=_place_cut,
        mix=_cut,
        pictures=2,
        exact=False,
        tolerance="one of 255 levels",
        neutral={"area": 0.0},
    ),
    MixingOperation(
        name="mosaic",
        category="mixing",
        description="Puts four pictures around a point, each cut to its quarter (Bochkovskiy et "
        "al., YOLOv4, 2020).",
        parameters=(
            _percent(
                "spread",
                "how far from the middle the point may lie: 100 anywhere",
                "percent of the side",
                40,
            ),
        ),
        place=_place_tiles,
        mix=_tiled,
        pictures=4,
        exact=False,
        tolerance="one of 255 levels",
        cost="medium",
    ),
    MixingOperation(
        name="overlay",
        category="mixing",
        description="Puts another picture, smaller, somewhere on the first.",
        parameters=(
            _percent("size", "of the other, where 100 just fits", "percent of the picture", 40, 1),
            _percent("opacity", "how much of it is seen", "percent", 100),
        ),
        place=_place_over,
        mix=_overlay,
        pictures=2,
        exact=False,
        cost="medium",
        tolerance="one of 255 levels",
        neutral={"opacity": 0.0},
    ),
)
