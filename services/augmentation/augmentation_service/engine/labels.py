"""Labels: what is where in a picture, as given and as moved along. Coordinates as in `moves`."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

__all__ = ["Box", "Keypoint", "Labels", "MovedBox", "MovedKeypoint", "MovedLabels"]

#: Pixels; far outside of any picture there is nothing to label.
Coordinate: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=256)]


class Box(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rectangle from (x_min, y_min) to (x_max, y_max), in pixels of the upright picture."""

    x_min: Coordinate
    y_min: Coordinate
    x_max: Coordinate
    y_max: Coordinate
    label: Name | None = None


class Keypoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A point, in pixels of the upright picture; `visible`: as the annotator had it."""

    x: Coordinate
    y: Coordinate
    visible: bool = True
    label: Name | None = None


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a picture."""

    boxes: list[Box] = []
    keypoints: list[Keypoint] = []


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
    """The boxes of which something is left, and every keypoint, as there were as many given."""

    boxes: list[MovedBox] = []
    keypoints: list[MovedKeypoint] = []
