"""Rectangles in whole pixels: drawn by chance, kept apart, painted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import cv2
import numpy as np

from augmentation_service.engine.declarations import Rectangles
from augmentation_service.engine.images import Image
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.warping import pixel_of

__all__ = ["apart", "bars", "crossed", "joined", "painted", "placed", "spans"]

_Corners: TypeAlias = tuple[int, int, int, int]
#: From and to, in pixels.
_Span: TypeAlias = tuple[int, int]


def placed(size: tuple[int, int], width: int, height: int, stream: Stream) -> _Corners:
    """Return a rectangle of that size somewhere in a picture (width, height)."""
    left = stream.below(size[0] - width + 1)
    top = stream.below(size[1] - height + 1)
    return left, top, left + width, top + height


def apart(rectangles: Iterable[_Corners]) -> Rectangles:
    """Return rectangles that cover the same and do not overlap: what is covered is cut off."""
    found: list[_Corners] = []
    for rectangle in rectangles:
        has_area = rectangle[0] < rectangle[2] and rectangle[1] < rectangle[3]
        pieces = [rectangle] if has_area else []
        for other in found:
            pieces = [piece for one in pieces for piece in _without(one, other)]
        found += pieces
    return np.array(found, np.int64).reshape(-1, 4)


def _without(one: _Corners, other: _Corners) -> list[_Corners]:
    """Return what of a rectangle lies outside another, in up to four pieces."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]), min(one[3], other[3])
    if left >= right or top >= bottom:
        return [one]
    pieces = [
        (one[0], one[1], one[2], top),
        (one[0], bottom, one[2], one[3]),
        (one[0], top, left, bottom),
        (right, top, one[2], bottom),
    ]
    return [piece for piece in pieces if piece[0] < piece[2] and piece[1] < piece[3]]


def spans(side: int, unit: float, covered: float, phase: float) -> list[tuple[int, int]]:
    """Return the stretches of a side that are covered: a share of each unit, from a phase on.

    All lengths are in pixels; `phase` is where the first unit begins, 0 or less.
    """
    count = int(np.ceil((side - phase) / unit))
    starts = phase + unit * np.arange(count)
    edges = np.stack([starts, starts + covered], axis=1)
    rounded = np.clip(np.floor(edges + 0.5), 0, side).astype(int).tolist()
    return [(start, end) for start, end in rounded if start < end]


def joined(spans: Iterable[_Span]) -> list[_Span]:
    """Return stretches that cover the same, in order, none of which touch."""
    found: list[_Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def crossed(columns: Sequence[_Span], rows: Sequence[_Span]) -> Rectangles:
    """Return the rectangles where columns and rows cross; neither overlap among themselves."""
    found = [(left, top, right, bottom) for top, bottom in rows for left, right in columns]
    return np.array(found, np.int64).reshape(-1, 4)


def bars(size: tuple[int, int], columns: Sequence[_Span], rows: Sequence[_Span]) -> Rectangles:
    """Return whole rows and columns, in order and apart, of a picture (width, height).

    Columns are cut where they cross rows.
    """
    edges = [0, *(edge for row in rows for edge in row), size[1]]
    gaps = [gap for gap in zip(edges[::2], edges[1::2], strict=True) if gap[0] < gap[1]]
    found = [(0, top, size[0], bottom) for top, bottom in rows]
    found += [(left, top, right, bottom) for top, bottom in gaps for left, right in columns]
    return np.array(found, np.int64).reshape(-1, 4)


def painted(image: Image, rectangles: Rectangles, fill: str) -> Image:
    """Return the picture with a colour (see `warping.colour_of`) in the rectangles."""
    result = image.copy()
    colour = pixel_of(fill, image).tolist()
    if image.shape[2] == 1 or len(set(colour)) == 1:
        for left, top, right, bottom in rectangles.tolist():
            result[top:bottom, left:right] = colour[0]
        return result
    # NumPy writes pixels of several values one by one.
    for left, top, right, bottom in rectangles.tolist():
        if left < right and top < bottom:
            cv2.rectangle(result, (left, top), (right - 1, bottom - 1), colour, cv2.FILLED)
    return result
