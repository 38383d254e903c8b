"""Labels as they are given."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

__all__ = ["Box", "Keypoint", "Labels", "Polygon", "RotatedBox", "Rules"]

#: Pixels; far outside of any picture there is nothing to label.
Coordinate: TypeAlias = Annotated[float, Meta(ge=-1e6, le=1e6)]
Extent: TypeAlias = Annotated[float, Meta(ge=0, le=1e6)]
Name: TypeAlias = Annotated[str, Meta(max_length=256)]


class _Given(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One label."""


class Box(_Given, frozen=True, kw_only=True):
    """A rectangle from (x_min, y_min) to (x_max, y_max), in pixels of the upright picture."""

    x_min: Coordinate
    y_min: Coordinate
    x_max: Coordinate
    y_max: Coordinate
    label: Name | None = None


class RotatedBox(_Given, frozen=True, kw_only=True):
    """A rectangle about (x, y), `width` by `height` pixels, turned by `angle` degrees.

    The angle is counter-clockwise, as of the operation `rotate`.
    """

    x: Coordinate
    y: Coordinate
    width: Extent
    height: Extent
    angle: Annotated[float, Meta(ge=-360, le=360)] = 0.0
    label: Name | None = None


class Keypoint(_Given, frozen=True, kw_only=True):
    """A point, in pixels of the upright picture; `visible`: as the annotator had it."""

    x: Coordinate
    y: Coordinate
    visible: bool = True
    label: Name | None = None


class Polygon(_Given, frozen=True, kw_only=True):
    """An area, by the corners of its outline: at least three, in order, not crossing itself."""

    points: Annotated[list[tuple[Coordinate, Coordinate]], Meta(min_length=3, max_length=10_000)]
    label: Name | None = None


class Rules(_Given, frozen=True, kw_only=True):
    """Which labels are worth keeping.

    Dropped is what has less than `min_area` square pixels, or less than the share
    `min_visibility` of the area it was given with. With `clip`, what is kept ends at the edge of
    the picture; without, boxes and polygons keep their whole extent.
    """

    min_area: Annotated[float, Meta(ge=0)] = 0.0
    min_visibility: Annotated[float, Meta(ge=0, le=1)] = 0.0
    clip: bool = True


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a picture, and what of it shall be kept."""

    boxes: list[Box] = []
    keypoints: list[Keypoint] = []
    rotated_boxes: list[RotatedBox] = []
    polygons: list[Polygon] = []
    rules: Rules = Rules()
