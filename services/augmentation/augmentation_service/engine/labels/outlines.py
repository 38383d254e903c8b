"""One label on its way through a recipe: an outline that is moved and cut, or a point."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.errors import BadLabels
from augmentation_service.engine.labels.given import Box, Keypoint, Polygon, RotatedBox, Rules
from augmentation_service.engine.labels.moved import (
    MovedBox,
    MovedKeypoint,
    MovedPolygon,
    MovedRotatedBox,
)
from augmentation_service.engine.labels.polygons import (
    Rectangle,
    area,
    clipped,
    finer,
    rectangle_around,
    within,
)
from augmentation_service.engine.moves import Points

__all__ = ["CRUMB", "Dot", "Given", "Outline"]

#: Coordinates are told to a ten-thousandth of a pixel; what is smaller is rounding error.
_DECIMALS = 4
CRUMB = 1e-6

Given: TypeAlias = Box | RotatedBox | Polygon


def _of_box(box: Box, path: str) -> Points:
    if box.x_min > box.x_max or box.y_min > box.y_max:
        raise BadLabels(f"{path}: its minimum is above its maximum")
    return np.array(
        [
            (box.x_min, box.y_min),
            (box.x_max, box.y_min),
            (box.x_max, box.y_max),
            (box.x_min, box.y_max),
        ]
    )


def _of_rotated_box(box: RotatedBox, path: str) -> Points:
    del path
    turn = math.radians(box.angle)
    axis = np.array([math.cos(turn), -math.sin(turn)]) * box.width / 2
    side = np.array([math.sin(turn), math.cos(turn)]) * box.height / 2
    middle = np.array([box.x, box.y])
    return np.array(
        [middle - axis - side, middle + axis - side, middle + axis + side, middle - axis + side]
    )


def _of_polygon(polygon: Polygon, path: str) -> Points:
    if len(polygon.points) < 3:
        raise BadLabels(f"{path}: a polygon has at least three points")
    return np.array(polygon.points, np.float64)


#: The name of the list that each kind stands in, and how its outline is made.
_KINDS: dict[type, tuple[str, Callable[..., Points]]] = {
    Box: ("boxes", _of_box),
    RotatedBox: ("rotated_boxes", _of_rotated_box),
    Polygon: ("polygons", _of_polygon),
}


class Outline:
    """One label with an area: what is left of it, and which share of it is seen.

    `whole` is moved along uncut, for rules that do not clip; for others, it is empty.
    """

    def __init__(self, index: int, given: Given, picture: int, *, clip: bool) -> None:
        self.index = index
        self.given = given
        self.picture = picture
        self.weight = 1.0
        self.share = 1.0
        name, outlined = _KINDS[type(given)]
        self.polygon = outlined(given, f"{name}[{index}]")
        self.whole = self.polygon[:0] if clip else self.polygon
        #: Two points: what was level in a rotated box points from one to the other.
        self.heading = np.array([self.polygon[0], self.polygon[1]])

    def points(self, *, straight: bool) -> Points:
        """Return all that has to be moved; if not `straight`, in short pieces."""
        if not straight:
            self.polygon = finer(self.polygon)
            self.whole = finer(self.whole) if len(self.whole) else self.whole
        return np.concatenate([self.polygon, self.whole, self.heading])

    def put(self, points: Points) -> None:
        """Take what `points` returned, moved."""
        lengths = np.cumsum([len(self.polygon), len(self.whole)])
        self.polygon, self.whole, self.heading = np.split(points, lengths)

    def cut(self, region: Rectangle) -> bool:
        """Cut off what lies outside; False if nothing is left."""
        before = area(self.polygon)
        self.polygon = clipped(self.polygon, region)
        left = area(self.polygon) if len(self.polygon) else 0.0
        if left <= CRUMB:
            return False
        self.share *= min(1.0, left / before)
        return True

    def hide(self, rectangles: NDArray[np.float64]) -> bool:
        """Lower the share by what rectangles (N, 4) hide; False if nothing is seen any more."""
        low, high = self.polygon.min(axis=0), self.polygon.max(axis=0)
        near = ((rectangles[:, :2] < high) & (rectangles[:, 2:] > low)).all(axis=1)
        hidden = sum(
            within(self.polygon, (float(left), float(top), float(right), float(bottom)))
            for left, top, right, bottom in rectangles[near]
        )
        self.share *= max(0.0, 1 - hidden / area(self.polygon))
        return self.share > CRUMB

    def kept(self, rules: Rules) -> Points | None:
        """Return the outline to be told, None if it is not worth keeping."""
        if self.share < rules.min_visibility - CRUMB:
            return None
        polygon = self.polygon if rules.clip else self.whole
        measured = self.polygon
        if isinstance(self.given, Box):
            extent = np.ptp(measured, axis=0)
            size = float(extent[0] * extent[1])
        else:
            size = area(measured)
        return None if size < rules.min_area - CRUMB else polygon

    def as_box(self, polygon: Points) -> MovedBox:
        """Return the upright rectangle around."""
        (x_min, y_min), (x_max, y_max) = polygon.min(axis=0), polygon.max(axis=0)
        return MovedBox(
            index=self.index,
            x_min=_told(x_min),
            y_min=_told(y_min),
            x_max=_told(x_max),
            y_max=_told(y_max),
            visibility=_told(self.share),
            label=self.given.label,
            picture=self.picture,
            weight=self.weight,
        )

    def as_rotated_box(self, polygon: Points) -> MovedRotatedBox:
        """Return the smallest rectangle around."""
        heading = self.heading[1] - self.heading[0]
        middle, width, height, angle = rectangle_around(polygon, heading)
        return MovedRotatedBox(
            index=self.index,
            x=_told(middle[0]),
            y=_told(middle[1]),
            width=_told(width),
            height=_told(height),
            angle=_told(angle),
            visibility=_told(self.share),
            label=self.given.label,
            picture=self.picture,
            weight=self.weight,
        )

    def as_polygon(self, polygon: Points) -> MovedPolygon:
        """Return the outline itself."""
        return MovedPolygon(
            index=self.index,
            points=[(_told(x), _told(y)) for x, y in polygon],
            visibility=_told(self.share),
            label=self.given.label,
            picture=self.picture,
            weight=self.weight,
        )


class Dot:
    """One keypoint."""

    def __init__(self, index: int, given: Keypoint, picture: int) -> None:
        self.index = index
        self.given = given
        self.picture = picture
        self.weight = 1.0
        self.place = np.array([(given.x, given.y)])
        self.visible = given.visible

    def points(self, *, straight: bool) -> Points:
        """Return what has to be moved."""
        del straight
        return self.place

    def put(self, points: Points) -> None:
        """Take what `points` returned, moved."""
        self.place = points

    def within(self, region: Rectangle) -> bool:
        """Return whether it lies in a rectangle."""
        (x, y), (left, top, right, bottom) = self.place[0], region
        return bool(left - CRUMB <= x <= right + CRUMB and top - CRUMB <= y <= bottom + CRUMB)

    def moved(self) -> MovedKeypoint:
        """Return where it is."""
        return MovedKeypoint(
            index=self.index,
            x=_told(self.place[0, 0]),
            y=_told(self.place[0, 1]),
            visible=self.visible,
            label=self.given.label,
            picture=self.picture,
            weight=self.weight,
        )


def _told(value: float) -> float:
    return round(float(value), _DECIMALS)
