"""Operations that keep a part of the picture: crops."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.declarations import GeometricOperation
from augmentation_service.engine.images import Image, Size, size_of
from augmentation_service.engine.moves import Affine
from augmentation_service.engine.operations.geometry.affine import TOLERANCE
from augmentation_service.engine.parameters import Integer, Number
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.warping import INTERPOLATION, scaled

__all__ = ["OPERATIONS"]


def side(name: str, what: str) -> Integer:
    """Return the parameter of a side of the result."""
    return Integer(name=name, description=what, unit="pixels", least=1, most=65_500)


def place(name: str, start: str, end: str, extent: str) -> Number:
    """Return the parameter of a place in what is left over."""
    return Number(
        name=name,
        description=f"where it lies: 0 at the {start}, 50 in the middle, 100 at the {end}",
        unit=f"percent of the {extent} that is left over",
        least=0,
        most=100,
        default=50,
    )


PLACES = (
    place("x", "left", "right", "width"),
    place("y", "top", "bottom", "height"),
)


def at(left_over: int, share: float) -> int:
    """Return the whole pixel at a percentage of what is left over."""
    return math.floor(left_over * share / 100 + 0.5)


def _cut(size: Size, width: int, height: int, x: float, y: float) -> Affine:
    """Return the move to a part of the picture; what is larger than it is as large as it."""
    width, height = min(width, size[0]), min(height, size[1])
    left, top = at(size[0] - width, x), at(size[1] - height, y)
    return Affine(size=(width, height), x0=float(-left), y0=float(-top))


def _crop(size: Size, stream: Stream, *, width: int, height: int, x: float, y: float) -> Affine:
    del stream
    return _cut(size, width, height, x, y)


def _centre(size: Size, stream: Stream, *, width: int, height: int) -> Affine:
    del stream
    return _cut(size, width, height, 50, 50)


def _cropped(image: Image, move: Affine, **_: object) -> Image:
    if move.size == size_of(image):
        return image
    left, top = int(-move.x0), int(-move.y0)
    return image[top : top + move.size[1], left : left + move.size[0]]


def _resized_part(
    size: Size,
    stream: Stream,
    *,
    width: int,
    height: int,
    area_min: float,
    area_max: float,
    ratio_min: float,
    ratio_max: float,
    **_: object,
) -> Affine:
    """Draw a part (Szegedy et al., "Going deeper with convolutions", CVPR 2015)."""
    area_min, area_max = sorted((area_min, area_max))
    shape_min, shape_max = sorted((math.log(ratio_min), math.log(ratio_max)))
    for _attempt in range(10):
        area = size[0] * size[1] * (area_min + (area_max - area_min) * stream.unit()) / 100
        ratio = math.exp(shape_min + (shape_max - shape_min) * stream.unit())
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 1 <= wide <= size[0] and 1 <= high <= size[1]:
            left, top = stream.below(size[0] - wide + 1), stream.below(size[1] - high + 1)
            return _stretched((left, top, wide, high), (width, height))
    # None that was drawn fits: the largest in the middle whose shape is allowed.
    ratio = min(max(size[0] / size[1], math.exp(shape_min)), math.exp(shape_max))
    wide = max(1, min(size[0], round(size[1] * ratio)))
    high = max(1, min(size[1], round(size[0] / ratio)))
    return _stretched(((size[0] - wide) // 2, (size[1] - high) // 2, wide, high), (width, height))


def _stretched(part: tuple[int, int, int, int], after: Size) -> Affine:
    left, top, wide, high = part
    xx, yy = after[0] / wide, after[1] / high
    return Affine(size=after, xx=xx, x0=-left * xx, yy=yy, y0=-top * yy)


def _part_of(move: Affine) -> tuple[int, int, int, int]:
    """Return left, top, width and height of what `_stretched` was given."""
    wide, high = round(move.size[0] / move.xx), round(move.size[1] / move.yy)
    return round(-move.x0 / move.xx), round(-move.y0 / move.yy), wide, high


def _part_resized(image: Image, move: Affine, *, interpolation: str, **_: object) -> Image:
    left, top, wide, high = _part_of(move)
    return scaled(image[top : top + high, left : left + wide], move.size, interpolation)


def _safe(size: Size, stream: Stream, *, keep: float, boxes: NDArray[np.float64]) -> Affine:
    """Draw a part that has all boxes in it; without boxes, any part of the area allowed."""
    if len(boxes):
        low = np.clip(np.floor(boxes[:, :2].min(axis=0)), 0, size).astype(int)
        high = np.clip(np.ceil(boxes[:, 2:].max(axis=0)), 0, size).astype(int)
    else:
        least = [max(1, math.ceil(side * math.sqrt(keep / 100))) for side in size]
        low = np.array(
            [stream.below(side - part + 1) for side, part in zip(size, least, strict=True)]
        )
        high = low + least
    # Each edge lies anywhere between the boxes and the edge of the picture.
    room = [int(low[0]), int(low[1]), int(size[0] - high[0]), int(size[1] - high[1])]
    most = [math.floor(share * (100 - keep) / 100) if len(boxes) else share for share in room]
    left, top, right, bottom = (stream.below(pixels + 1) for pixels in most)
    width, height = size[0] - left - right, size[1] - top - bottom
    return Affine(size=(max(1, width), max(1, height)), x0=float(-left), y0=float(-top))


OPERATIONS = (
    GeometricOperation(
        name="crop",
        category="geometry",
        description="Keeps a part of the picture; draw x and y from 0 to 100 for a random one.",
        parameters=(
            side("width", "of the part; at most the picture's"),
            side("height", "of the part; at most the picture's"),
            *PLACES,
        ),
        move=_crop,
        warp=_cropped,
        exact=True,
        neutral={"width": 65_500, "height": 65_500},
        example={"width": 40, "height": 30, "x": 20.0, "y": 60.0},
    ),
    GeometricOperation(
        name="centre_crop",
        category="geometry",
        description="Keeps the middle of the picture.",
        parameters=(
            side("width", "of the part; at most the picture's"),
            side("height", "of the part; at most the picture's"),
        ),
        move=_centre,
        warp=_cropped,
        exact=True,
        neutral={"width": 65_500, "height": 65_500},
        example={"width": 40, "height": 30},
    ),
    GeometricOperation(
        name="random_resized_crop",
        category="geometry",
        description="Keeps a part of random area, shape and place, and makes it of one size "
        "(Szegedy et al., Going deeper with convolutions, 2015).",
        parameters=(
            side("width", "of the result"),
            side("height", "of the result"),
            Number(
                name="area_min",
                description="least area of the part",
                unit="percent of the picture's",
                least=1,
                most=100,
                default=8,
            ),
            Number(
                name="area_max",
                description="largest area of the part",
                unit="percent of the picture's",
                least=1,
                most=100,
                default=100,
            ),
            Number(
                name="ratio_min",
                description="least width of the part",
                unit="heights",
                least=0.05,
                most=20,
                default=0.75,
            ),
            Number(
                name="ratio_max",
                description="largest width of the part",
                unit="heights",
                least=0.05,
                most=20,
                default=4 / 3,
            ),
            INTERPOLATION,
        ),
        move=_resized_part,
        warp=_part_resized,
        exact=False,
        tolerance=TOLERANCE,
        example={"width": 48, "height": 48},
    ),
    GeometricOperation(
        name="box_safe_crop",
        category="geometry",
        description="Keeps a random part that has all boxes in it.",
        parameters=(
            Number(
                name="keep",
                description="how much of what surrounds the boxes stays at least; without boxes, "
                "of the picture's area",
                unit="percent",
                least=0,
                most=100,
                default=10,
            ),
        ),
        move=_safe,
        warp=_cropped,
        sees_boxes=True,
        exact=True,
        neutral={"keep": 100.0},
    ),
)
