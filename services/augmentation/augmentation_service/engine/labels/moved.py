"""Labels as they are afterwards."""

from __future__ import annotations

import msgspec

__all__ = ["MovedBox", "MovedKeypoint", "MovedLabels", "MovedPolygon", "MovedRotatedBox"]


class MovedBox(msgspec.Struct, frozen=True, kw_only=True):
    """Where a box is now: the smallest upright rectangle around what is left of it.

    `index`: which of the given ones it was; `visibility`: the share of its area that no step
    has cut off or hidden, above 0 up to 1. `picture`: 0 for the picture itself, n for the n-th of
    the others that were mixed in; `weight`: that picture's share in the values here.
    """

    index: int
    x_min: float
    y_min: float
    x_max: float
    y_max: float
    visibility: float
    label: str | None = None
    picture: int = 0
    weight: float = 1.0


class MovedRotatedBox(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest rectangle around what is left of a rotated box; the rest as for boxes.

    Its `width` runs along the side that was the given one's, as nearly as there is one.
    """

    index: int
    x: float
    y: float
    width: float
    height: float
    angle: float
    visibility: float
    label: str | None = None
    picture: int = 0
    weight: float = 1.0


class MovedPolygon(msgspec.Struct, frozen=True, kw_only=True):
    """The outline of what is left of a polygon; the rest as for boxes.

    Of a hollow shape that the picture's edge cuts in two, the parts are joined along the edge.
    """

    index: int
    points: list[tuple[float, float]]
    visibility: float
    label: str | None = None
    picture: int = 0
    weight: float = 1.0


class MovedKeypoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a keypoint is now; not `visible` if it was not, or if a step cut it off or hid it.

    `picture` and `weight` as for boxes.
    """

    index: int
    x: float
    y: float
    visible: bool
    label: str | None = None
    picture: int = 0
    weight: float = 1.0


class MovedLabels(msgspec.Struct, frozen=True, kw_only=True):
    """The labels of which something is left, and every keypoint, as there were as many given."""

    boxes: list[MovedBox] = []
    keypoints: list[MovedKeypoint] = []
    rotated_boxes: list[MovedRotatedBox] = []
    polygons: list[MovedPolygon] = []
