"""Following labels from step to step.

A box is followed as the polygon of its corners and becomes a box again only at the end: the
rectangle around a rotated rectangle, rotated once more, would grow with every step. What a step
cuts off at the edge of the canvas stays cut off, whatever later steps do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.declarations import Placement, Rectangles
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

__all__ = ["Tracker", "area", "clipped", "within"]

#: Coordinates are told to a ten-thousandth of a pixel; what is smaller is rounding error.
_DECIMALS = 4
_CRUMB = 1e-6


def area(polygon: Points) -> float:
    """Return the area of a polygon (N, 2), whichever way round."""
    x, y = polygon[:, 0], polygon[:, 1]
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def clipped(polygon: Points, size: tuple[float, float]) -> Points:
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


def within(polygon: Points, rectangle: tuple[float, float, float, float]) -> float:
    """Return the area of a convex polygon's part in a rectangle (x_min, y_min, x_max, y_max)."""
    corner = np.array(rectangle[:2])
    part = clipped(polygon - corner, (rectangle[2] - corner[0], rectangle[3] - corner[1]))
    return area(part) if len(part) else 0.0


class Outline:
    """One box on its way: the polygon that is left of it, and which share of it is seen."""

    def __init__(self, index: int, box: Box, picture: int) -> None:
        if box.x_min > box.x_max or box.y_min > box.y_max:
            raise BadLabels(f"boxes[{index}]: its minimum is above its maximum")
        self.index = index
        self.label = box.label
        self.picture = picture
        self.weight = 1.0
        self.polygon: Points = np.array(
            [
                (box.x_min, box.y_min),
                (box.x_max, box.y_min),
                (box.x_max, box.y_max),
                (box.x_min, box.y_max),
            ]
        )
        self.share = 1.0

    def cut(self, size: tuple[float, float]) -> bool:
        """Cut off what lies outside; False if nothing is left."""
        whole = area(self.polygon)
        self.polygon = clipped(self.polygon, size)
        left = area(self.polygon) if len(self.polygon) else 0.0
        if left <= _CRUMB:
            return False
        self.share *= min(1.0, left / whole)
        return True

    def hide(self, rectangles: Rectangles) -> bool:
        """Lower the share by what rectangles hide; False if nothing is seen any more."""
        whole = area(self.polygon)
        hidden = sum(within(self.polygon, _corners(one)) for one in rectangles)
        self.share *= max(0.0, 1 - hidden / whole)
        return self.share > _CRUMB

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
            picture=self.picture,
            weight=self.weight,
        )


class Dot:
    """One keypoint on its way."""

    def __init__(self, index: int, keypoint: Keypoint, picture: int) -> None:
        self.index = index
        self.label = keypoint.label
        self.picture = picture
        self.weight = 1.0
        self.place = (keypoint.x, keypoint.y)
        self.visible = keypoint.visible

    def within(self, rectangle: tuple[float, float, float, float]) -> bool:
        """Return whether it lies in a rectangle (x_min, y_min, x_max, y_max)."""
        (x, y), (left, top, right, bottom) = self.place, rectangle
        return left - _CRUMB <= x <= right + _CRUMB and top - _CRUMB <= y <= bottom + _CRUMB

    def moved(self) -> MovedKeypoint:
        return MovedKeypoint(
            index=self.index,
            x=round(float(self.place[0]), _DECIMALS),
            y=round(float(self.place[1]), _DECIMALS),
            visible=self.visible,
            label=self.label,
            picture=self.picture,
            weight=self.weight,
        )


class Tracker:
    """The labels of one picture on their way through a recipe; raises `BadLabels`.

    `picture`: 0, or which of several it is.
    """

    def __init__(self, labels: Labels, size: Size, *, picture: int = 0) -> None:
        self._size = size
        outlines = [Outline(index, box, picture) for index, box in enumerate(labels.boxes)]
        self.outlines = [outline for outline in outlines if outline.cut(size)]
        self.dots = [
            Dot(index, keypoint, picture) for index, keypoint in enumerate(labels.keypoints)
        ]
        self._look((0, 0, *size))

    def follow(self, move: Move) -> None:
        """Go where a step has taken the picture."""
        self._size = move.size
        polygons = [outline.polygon for outline in self.outlines]
        places = [np.array([dot.place]) for dot in self.dots]
        pieces = polygons + places
        if not pieces:
            return
        lengths = np.cumsum([len(piece) for piece in pieces])[:-1]
        moved = np.split(move.points(np.concatenate(pieces)), lengths)
        for outline, polygon in zip(self.outlines, moved, strict=False):
            outline.polygon = polygon
        for dot, place in zip(self.dots, moved[len(polygons) :], strict=True):
            dot.place = (float(place[0, 0]), float(place[0, 1]))
        self.outlines = [outline for outline in self.outlines if outline.cut(self._size)]
        self._look((0, 0, *self._size))

    def hide(self, rectangles: Rectangles) -> None:
        """Take sight from what rectangles hide; they don't overlap."""
        self.outlines = [outline for outline in self.outlines if outline.hide(rectangles)]
        for rectangle in rectangles:
            for dot in self.dots:
                dot.visible &= not dot.within(_corners(rectangle))

    def join(self, others: Sequence[Tracker], placements: Sequence[Placement]) -> None:
        """Put several pictures' labels where their pictures were put; this one's come first."""
        seen: list[Tracker] = []
        for tracker, placement in zip((self, *others), placements, strict=True):
            if placement.weight == 1:
                for earlier in seen:
                    earlier.hide(np.array([placement.region]))
            tracker.follow(placement.move)
            tracker.show(placement)
            seen.append(tracker)
        for tracker in seen[1:]:
            self.outlines += tracker.outlines
            self.dots += tracker.dots

    def show(self, placement: Placement) -> None:
        """Keep what lies in the region of a placement."""
        left, top, right, bottom = placement.region
        corner = np.array([left, top])
        kept = []
        for outline in self.outlines:
            outline.polygon = outline.polygon - corner
            if outline.cut((right - left, bottom - top)):
                outline.polygon = outline.polygon + corner
                outline.weight *= placement.weight
                kept.append(outline)
        self.outlines = kept
        for dot in self.dots:
            dot.weight *= placement.weight
        self._look(placement.region)

    def _look(self, region: tuple[float, float, float, float]) -> None:
        for dot in self.dots:
            dot.visible &= dot.within(region)

    def boxes(self) -> NDArray[np.float64]:
        """Return the boxes as they are now, (N, 4)."""
        now = [outline.moved(self._size) for outline in self.outlines]
        return np.array(
            [(box.x_min, box.y_min, box.x_max, box.y_max) for box in now], np.float64
        ).reshape(-1, 4)

    def labels(self) -> MovedLabels:
        """Return where everything is now."""
        return MovedLabels(
            boxes=[outline.moved(self._size) for outline in self.outlines],
            keypoints=[dot.moved() for dot in self.dots],
        )


def _corners(rectangle: NDArray[Any]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(side) for side in rectangle)
    return left, top, right, bottom
