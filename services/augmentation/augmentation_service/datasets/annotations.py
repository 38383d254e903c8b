"""What belongs together: the box, the outlines and the keypoints of one object.

The engine moves boxes, polygons and keypoints one by one, and says which of the given ones each
was. Data sets annotate objects. An `Instance` says which of the given labels are one object's, so
that it is one again afterwards: an `Annotation`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import msgspec

from augmentation_service.engine import (
    Labels,
    MovedBox,
    MovedKeypoint,
    MovedLabels,
    MovedRotatedBox,
    Rules,
)

__all__ = [
    "Annotation",
    "Category",
    "Given",
    "Instance",
    "annotated",
    "categories_of",
    "of_labels",
]

Size: TypeAlias = tuple[int, int]
Point: TypeAlias = tuple[float, float]
#: What objects without a name are.
NAMELESS = "object"


class Category(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A class of objects; `id` as a data set numbers it, `keypoints` the names of its points."""

    name: str
    id: int | None = None
    supercategory: str | None = None
    keypoints: list[str] = []
    skeleton: list[tuple[int, int]] = []


class Instance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One object: the places of its labels in the lists of given ones.

    `keypoints` has one place per point of its category, None for those that nobody annotated;
    `extra`: flags of the data set that stay as they are (`iscrowd`, `difficult`).
    """

    category: str
    box: int | None = None
    rotated_box: int | None = None
    polygons: list[int] = []
    keypoints: list[int | None] = []
    extra: dict[str, int] = {}


class Given(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The labels of one picture, and which of them are one object's.

    `relative`: coordinates are shares of the picture's width and height, not pixels.
    """

    labels: Labels = Labels()
    instances: list[Instance] = []
    relative: bool = False

    def on(self, size: Size, rules: Rules) -> Labels:
        """Return the labels in pixels of a picture (width, height)."""
        labels = msgspec.structs.replace(self.labels, rules=rules)
        if not self.relative:
            return labels
        width, height = size
        return msgspec.structs.replace(
            labels,
            boxes=[
                msgspec.structs.replace(
                    box,
                    x_min=box.x_min * width,
                    y_min=box.y_min * height,
                    x_max=box.x_max * width,
                    y_max=box.y_max * height,
                )
                for box in labels.boxes
            ],
            keypoints=[
                msgspec.structs.replace(point, x=point.x * width, y=point.y * height)
                for point in labels.keypoints
            ],
            polygons=[
                msgspec.structs.replace(
                    polygon, points=[(x * width, y * height) for x, y in polygon.points]
                )
                for polygon in labels.polygons
            ],
        )


class Annotation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One object of a variant, in pixels of it.

    `box`: x_min, y_min, x_max, y_max; `keypoints`: x, y and how well it is seen, as COCO has it
    (0: not there, 1: hidden, 2: visible).
    """

    category: str
    box: tuple[float, float, float, float]
    polygons: list[list[Point]] = []
    keypoints: list[tuple[float, float, int]] = []
    extra: dict[str, int] = {}


def of_labels(labels: Labels) -> Given:
    """Return labels that belong to nothing: each box and outline an object of its own.

    Keypoints are one object together, each named by its label.
    """
    instances = [
        *(Instance(category=b.label or NAMELESS, box=n) for n, b in enumerate(labels.boxes)),
        *(
            Instance(category=b.label or NAMELESS, rotated_box=n)
            for n, b in enumerate(labels.rotated_boxes)
        ),
        *(
            Instance(category=p.label or NAMELESS, polygons=[n])
            for n, p in enumerate(labels.polygons)
        ),
    ]
    if labels.keypoints:
        points: list[int | None] = list(range(len(labels.keypoints)))
        instances.append(Instance(category="keypoints", keypoints=points))
    return Given(labels=labels, instances=instances)


def categories_of(givens: Iterable[Given]) -> list[Category]:
    """Return the categories of objects, in the order of their names."""
    names = {instance.category for given in givens for instance in given.instances}
    return [Category(name=name) for name in sorted(names)]


def annotated(moved: MovedLabels, givens: Sequence[Given], size: Size) -> list[Annotation]:
    """Return the objects of a variant of `size` (width, height).

    `givens`: the labels of its source, and of the pictures that were mixed in, in their order.
    """
    found = []
    for picture, given in enumerate(givens):
        left = _Left(moved, picture)
        for instance in given.instances:
            annotation = left.annotation(instance, size)
            if annotation is not None:
                found.append(annotation)
    return found


class _Left:
    """What is left of one picture's labels, by their places."""

    def __init__(self, moved: MovedLabels, picture: int) -> None:
        self.boxes = {one.index: one for one in moved.boxes if one.picture == picture}
        self.rotated = {one.index: one for one in moved.rotated_boxes if one.picture == picture}
        self.polygons = {one.index: one for one in moved.polygons if one.picture == picture}
        self.points = {one.index: one for one in moved.keypoints if one.picture == picture}

    def annotation(self, instance: Instance, size: Size) -> Annotation | None:
        polygons = [
            [*self.polygons[place].points] for place in instance.polygons if place in self.polygons
        ]
        if instance.rotated_box in self.rotated:
            polygons.append(_corners(self.rotated[instance.rotated_box]))
        keypoints = [
            _seen(self.points.get(-1 if place is None else place), size)
            for place in instance.keypoints
        ]
        there = [(x, y) for x, y, seen in keypoints if seen]
        box = self.boxes.get(-1 if instance.box is None else instance.box)
        if instance.box is not None and box is None:
            return None  # dropped: too little of it is left
        around = [point for polygon in polygons for point in polygon] or there
        if box is None and not around:
            return None
        return Annotation(
            category=instance.category,
            box=_box(box) if box is not None else _around(around),
            polygons=polygons,
            keypoints=keypoints,
            extra=instance.extra,
        )


def _box(box: MovedBox) -> tuple[float, float, float, float]:
    return box.x_min, box.y_min, box.x_max, box.y_max


def _around(points: Sequence[Point]) -> tuple[float, float, float, float]:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def _corners(box: MovedRotatedBox) -> list[Point]:
    turn = math.radians(-box.angle)
    along = (math.cos(turn) * box.width / 2, math.sin(turn) * box.width / 2)
    aside = (-math.sin(turn) * box.height / 2, math.cos(turn) * box.height / 2)
    return [
        (
            round(box.x + i * along[0] + j * aside[0], 4),
            round(box.y + i * along[1] + j * aside[1], 4),
        )
        for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]


def _seen(point: MovedKeypoint | None, size: Size) -> tuple[float, float, int]:
    if point is None:
        return 0, 0, 0
    inside = 0 <= point.x <= size[0] and 0 <= point.y <= size[1]
    if not inside:
        return 0, 0, 0
    return point.x, point.y, 2 if point.visible else 1
