"""Following labels from step to step.

A box is followed as the polygon of its corners and becomes a box again only at the end: the
rectangle around a rotated rectangle, rotated once more, would grow with every step. What a step
cuts off at the edge of the canvas stays cut off, whatever later steps do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.errors import BadLabels
from augmentation_service.engine.images import Size
from augmentation_service.engine.labels import (
    Box,
    Keypoint,
    Labels,
    MovedBox,
    MovedKeypoint,
    MovedLabels,
)
from augmentation_service.engine.moves import Move, Points

__all__ = ["Tracker", "area", "clipped"]

#: Coordinates are told to a ten-thousandth of a pixel; what is smaller is rounding error.
_DECIMALS = 4
_CRUMB = 1e-6


def area(polygon: Points) -> float:
    """Return the area of a polygon (N, 2), whichever way round."""
    x, y = polygon[:, 0], polygon[:, 1]
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def clipped(polygon: Points, size: Size) -> Points:
    """Return what of a convex polygon lies in the canvas (Sutherland and Hodgman, CACM 1974)."""
    for axis, bound, sign in ((0, 0, 1), (0, size[0], -1), (1, 0, 1), (1, size[1], -1)):
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


class _Outline:
    """One box on its way: the polygon that is left of it, and which share of it that is."""

    def __init__(self, index: int, box: Box) -> None:
        if box.x_min > box.x_max or box.y_min > box.y_max:
            raise BadLabels(f"boxes[{index}]: its minimum is above its maximum")
        self.index = index
        self.label = box.label
        self.polygon: Points = np.array(
            [
                (box.x_min, box.y_min),
                (box.x_max, box.y_min),
                (box.x_max, box.y_max),
                (box.x_min, box.y_max),
            ]
        )
        self.share = 1.0

    def cut(self, size: Size) -> bool:
        """Cut off what lies outside; False if nothing is left."""
        whole = area(self.polygon)
        self.polygon = clipped(self.polygon, size)
        left = area(self.polygon) if len(self.polygon) else 0.0
        if left <= _CRUMB:
            return False
        self.share *= min(1.0, left / whole)
        return True

    def moved(self, size: Size) -> MovedBox:
        low = np.clip(self.polygon.min(axis=0), 0, size)
        high = np.clip(self.polygon.max(axis=0), 0, size)
        return MovedBox(
            index=self.index,
            x_min=round(float(low[0]), _DECIMALS),
            y_min=round(float(low[1]), _DECIMALS),
            x_max=round(float(high[0]), _DECIMALS),
            y_max=round(float(high[1]), _DECIMALS),
            visibility=round(self.share, _DECIMALS),
            label=self.label,
        )


class Tracker:
    """The labels of one picture on their way through a recipe; raises `BadLabels`."""

    def __init__(self, labels: Labels, size: Size) -> None:
        self._size = size
        outlines = [_Outline(index, box) for index, box in enumerate(labels.boxes)]
        self._outlines = [outline for outline in outlines if outline.cut(size)]
        self._keypoints: list[Keypoint] = labels.keypoints
        self._points: Points = np.array(
            [(keypoint.x, keypoint.y) for keypoint in labels.keypoints]
        ).reshape(-1, 2)
        self._visible = np.array([keypoint.visible for keypoint in labels.keypoints], bool)
        self._visible &= self._inside()

    def follow(self, move: Move) -> None:
        """Go where a step has taken the picture."""
        self._size = move.size
        if self._outlines:
            lengths = [len(outline.polygon) for outline in self._outlines]
            moved = move.points(np.concatenate([outline.polygon for outline in self._outlines]))
            for outline, polygon in zip(
                self._outlines, np.split(moved, np.cumsum(lengths)[:-1]), strict=True
            ):
                outline.polygon = polygon
            self._outlines = [outline for outline in self._outlines if outline.cut(self._size)]
        if len(self._points):
            self._points = move.points(self._points)
            self._visible &= self._inside()

    def _inside(self) -> NDArray[np.bool_]:
        low, high = -_CRUMB, np.array(self._size) + _CRUMB
        inside: NDArray[np.bool_] = np.all((self._points >= low) & (self._points <= high), axis=1)
        return inside

    def labels(self) -> MovedLabels:
        """Return where everything is now."""
        return MovedLabels(
            boxes=[outline.moved(self._size) for outline in self._outlines],
            keypoints=[
                MovedKeypoint(
                    index=index,
                    x=round(float(x), _DECIMALS),
                    y=round(float(y), _DECIMALS),
                    visible=bool(self._visible[index]),
                    label=self._keypoints[index].label,
                )
                for index, (x, y) in enumerate(self._points)
            ],
        )
