"""Places and rectangles in the oriented original: in pixels and as shares of its sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from imagesystem.events import Box, Point, Rectangle, Vertex
from numpy.typing import NDArray

from inference_service.decoding import Picture

__all__ = ["box_around", "box_at", "overlap", "vertex", "without_overlaps"]

#: A box as detectors tell it: left, top, width, height.
Rect = tuple[float, float, float, float]


def vertex(x: float, y: float, picture: Picture) -> Vertex:
    """Return a place, moved into the picture if it lies outside."""
    x, y = min(max(x, 0.0), picture.width), min(max(y, 0.0), picture.height)
    return Vertex(
        x=round(x, 1),
        y=round(y, 1),
        relative=Point(x=round(x / picture.width, 5), y=round(y / picture.height, 5)),
    )


def box_at(left: float, top: float, right: float, bottom: float, picture: Picture) -> Box:
    """Return the part of a rectangle that lies in the picture."""
    left, right = (min(max(x, 0.0), picture.width) for x in (left, right))
    top, bottom = (min(max(y, 0.0), picture.height) for y in (top, bottom))
    return Box(
        x=round(left, 1),
        y=round(top, 1),
        width=round(right - left, 1),
        height=round(bottom - top, 1),
        relative=Rectangle(
            x=round(left / picture.width, 5),
            y=round(top / picture.height, 5),
            width=round((right - left) / picture.width, 5),
            height=round((bottom - top) / picture.height, 5),
        ),
    )


def box_around(corners: NDArray[np.float32], picture: Picture) -> Box:
    """Return the upright rectangle around a polygon, float32 (n, 2) in pixels."""
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return box_at(float(left), float(top), float(right), float(bottom), picture)


def overlap(one: Rect, other: Rect) -> float:
    """Return the intersection of two boxes over their union (0-1)."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def without_overlaps(boxes: Sequence[Rect], scores: Sequence[float], most: float) -> list[int]:
    """Return the indices that are kept, best first: none overlaps a better one by over `most`.

    Greedy non-maximum suppression.
    """
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda index: -scores[index]):
        if all(overlap(boxes[index], boxes[other]) <= most for other in kept):
            kept.append(index)
    return kept
