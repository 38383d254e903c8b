"""Plane geometry of outlines: areas, clipping, the smallest rectangle around."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np

from augmentation_service.engine.moves import Points

__all__ = ["Rectangle", "area", "clipped", "finer", "rectangle_around", "within"]

#: x_min, y_min, x_max, y_max.
Rectangle: TypeAlias = tuple[float, float, float, float]
#: Pixels: what is followed through a bend goes in pieces no longer, or in so many.
_PIECE, _MOST_PIECES = 8.0, 8


def area(polygon: Points) -> float:
    """Return the area of a polygon (N, 2), whichever way round."""
    x, y = polygon[:, 0], polygon[:, 1]
    around = x[:-1] @ y[1:] - y[:-1] @ x[1:] + x[-1] * y[0] - y[-1] * x[0]
    return abs(float(around)) / 2


def clipped(polygon: Points, region: Rectangle) -> Points:
    """Return what of a polygon lies in a rectangle (Sutherland and Hodgman, CACM 1974)."""
    for axis, bound, sign in (
        (0, region[0], 1),
        (0, region[2], -1),
        (1, region[1], 1),
        (1, region[3], -1),
    ):
        inside = sign * (polygon[:, axis] - bound)
        if (inside >= 0).all():
            continue
        kept: list[Points] = []
        for i, point in enumerate(polygon):
            before, depth, depth_before = polygon[i - 1], inside[i], inside[i - 1]
            if (depth >= 0) != (depth_before >= 0):
                kept.append(before + (point - before) * depth_before / (depth_before - depth))
            if depth >= 0:
                kept.append(point)
        if not kept:
            return np.empty((0, 2))
        polygon = np.array(kept)
    return polygon


def within(polygon: Points, region: Rectangle) -> float:
    """Return the area of a polygon's part in a rectangle."""
    part = clipped(polygon, region)
    return area(part) if len(part) else 0.0


def finer(polygon: Points) -> Points:
    """Return the same outline with more corners, so that it can be bent."""
    pieces: list[Points] = []
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        count = min(_MOST_PIECES, max(1, math.ceil(math.dist(start, end) / _PIECE)))
        shares = np.arange(count)[:, None] / count
        pieces.append(start + (end - start) * shares)
    return np.concatenate(pieces)


def rectangle_around(polygon: Points, heading: Points) -> tuple[Points, float, float, float]:
    """Return the smallest rectangle around: its middle, width, height, angle in degrees.

    One of its sides lies along an edge of the polygon's hull (Freeman and Shapira, CACM 1975);
    its width lies along `heading`, a direction (2,), as nearly as can be. The angle is
    counter-clockwise, with y downwards.
    """
    edges = np.roll(polygon, -1, axis=0) - polygon
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    edges = edges[lengths > lengths.max() * 1e-9]
    # Of concave outlines some edges are no hull's: they are tried in vain.
    turns = np.arctan2(edges[:, 1], edges[:, 0])
    axes = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    across = np.stack([-axes[:, 1], axes[:, 0]], axis=1)
    along, aside = polygon @ axes.T, polygon @ across.T
    sizes = (along.max(axis=0) - along.min(axis=0)) * (aside.max(axis=0) - aside.min(axis=0))
    best = int(np.argmin(sizes))
    # Of the four ways to name its sides, the one whose width points where the heading does.
    ahead = math.atan2(float(heading[1]), float(heading[0]))
    quarters = round((ahead - float(turns[best])) / (math.pi / 2))
    turn = float(turns[best]) + quarters * math.pi / 2
    axis = np.array([math.cos(turn), math.sin(turn)])
    side = np.array([-axis[1], axis[0]])
    u, v = polygon @ axis, polygon @ side
    middle = axis * (u.min() + u.max()) / 2 + side * (v.min() + v.max()) / 2
    angle = -math.degrees(turn)
    return middle, float(np.ptp(u)), float(np.ptp(v)), (angle + 180) % 360 - 180
