"""Labels as a client sends them with a task: in one of four formats, by picture.

Read once, when the task is ordered; what is wrong is told before anything is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, TypeAlias

import msgspec
from imagesystem.errors import Rejected

from augmentation_service.datasets import Category, Given, categories_of, coco, of_labels, voc, yolo
from augmentation_service.engine import (
    BadLabels,
    Box,
    Keypoint,
    Labels,
    Polygon,
    RotatedBox,
)

__all__ = ["Coco", "LabelsOfPicture", "LabelsOrder", "Plain", "Voc", "Yolo", "aligned", "check"]

MAX_LABELS = 10_000


class LabelsOfPicture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The labels of one picture, in pixels of it, upright."""

    boxes: Annotated[list[Box], msgspec.Meta(max_length=MAX_LABELS)] = []
    keypoints: Annotated[list[Keypoint], msgspec.Meta(max_length=MAX_LABELS)] = []
    rotated_boxes: Annotated[list[RotatedBox], msgspec.Meta(max_length=MAX_LABELS)] = []
    polygons: Annotated[list[Polygon], msgspec.Meta(max_length=MAX_LABELS)] = []


class _Format(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format"
):
    """Labels in a format; pictures are named by image id, or by the name of their file."""


class Plain(_Format, frozen=True, kw_only=True, tag="plain"):
    """As previews take them."""

    images: dict[str, LabelsOfPicture]

    def read(self) -> tuple[dict[str, Given], list[Category]]:
        """Return the labels by picture, and the categories; raises `BadLabels`."""
        found = {
            name: of_labels(
                Labels(
                    boxes=labels.boxes,
                    keypoints=labels.keypoints,
                    rotated_boxes=labels.rotated_boxes,
                    polygons=labels.polygons,
                )
            )
            for name, labels in self.images.items()
        }
        return found, categories_of(found.values())


class Coco(_Format, frozen=True, kw_only=True, tag="coco"):
    """A COCO document; its `file_name`s name the pictures."""

    document: Any

    def read(self) -> tuple[dict[str, Given], list[Category]]:
        """Return the labels by picture, and the categories; raises `BadLabels`."""
        try:
            document = msgspec.convert(self.document, coco.Document)
        except (msgspec.ValidationError, RecursionError) as error:
            raise BadLabels(f"it is no COCO document: {error}") from error
        return coco.read(document)


class Voc(_Format, frozen=True, kw_only=True, tag="voc"):
    """A Pascal VOC annotation, XML, for each picture."""

    images: dict[str, str]

    def read(self) -> tuple[dict[str, Given], list[Category]]:
        """Return the labels by picture, and the categories; raises `BadLabels`."""
        found = {name: voc.read(text, name) for name, text in self.images.items()}
        return found, categories_of(found.values())


class Yolo(_Format, frozen=True, kw_only=True, tag="yolo"):
    """A YOLO file for each picture; `names` of the classes, `keypoints` per object."""

    images: dict[str, str]
    names: Annotated[list[str], msgspec.Meta(max_length=10_000)] = []
    keypoints: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0

    def read(self) -> tuple[dict[str, Given], list[Category]]:
        """Return the labels by picture, and the categories; raises `BadLabels`."""
        found = {
            name: yolo.read(text, self.names, keypoints=self.keypoints, path=name)
            for name, text in self.images.items()
        }
        return found, yolo.categories(self.names, self.images.values())


LabelsOrder: TypeAlias = Plain | Coco | Voc | Yolo


def aligned(order: LabelsOrder, names: Sequence[str]) -> tuple[list[Given | None], list[Category]]:
    """Return the labels of every picture, in the order of `names`, and the categories.

    Raises `Rejected` 400 `invalid_labels`, also for pictures that there are not.
    """
    try:
        found, categories = order.read()
        for name, given in found.items():
            check(given, name)
    except BadLabels as error:
        raise Rejected(400, "invalid_labels", f"labels: {error}"[:500]) from error
    places = {name: place for place, name in enumerate(names)}
    stems = {PurePosixPath(name).stem: place for place, name in enumerate(names)}
    givens: list[Given | None] = [None] * len(names)
    for name, given in found.items():
        base = coco.base_name(name)
        place = places.get(name, places.get(base, stems.get(PurePosixPath(base).stem)))
        if place is None:
            raise Rejected(400, "invalid_labels", f"labels: the task has no picture {name[:100]!r}")
        givens[place] = given
    return givens, categories


def check(given: Given, path: str) -> None:
    """Raise `BadLabels` for what no engine takes: places far outside, too many."""
    labels = given.labels
    several: tuple[Sequence[object], ...] = (
        labels.boxes,
        labels.keypoints,
        labels.rotated_boxes,
        labels.polygons,
    )
    if sum(map(len, several)) > MAX_LABELS:
        raise BadLabels(f"{path}: a picture has {MAX_LABELS} labels at most")
    try:
        msgspec.convert(msgspec.to_builtins(labels), Labels)
    except msgspec.ValidationError as error:
        raise BadLabels(f"{path}: {error}") from error
