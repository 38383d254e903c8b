"""What detectors say: boxes out of the four layouts, and what is left of them.

Each reader takes a network's outputs for one picture, by name, and the size it was fed with
(height, width), and returns boxes in pixels of that. Layouts: YOLOX (Ge et al. 2021), YOLOv8
(Ultralytics), RT-DETR (Zhao et al. 2023), D-FINE (Peng et al. 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec
import numpy as np
from imagesystem.events import FoundObject, Objects
from imagesystem.models import BadModel, ModelSpec
from numpy.typing import NDArray

from inference_service.decoding import Picture
from inference_service.geometry import box_at
from inference_service.networks.preparation import Placed
from inference_service.networks.suppression import suppress

__all__ = ["LAYOUTS", "Boxes", "Outputs", "objects_of", "read_boxes"]

#: What a network says, by the names of its outputs; the first axis is the picture, there is one.
Outputs: TypeAlias = Mapping[str, NDArray[Any]]

STRIDES = (8, 16, 32)
#: What is less sure than this is not told; nor are more than so many objects of one picture.
LEAST, MOST = 0.25, 300
#: Boxes of one class that overlap more than this are one. DETR's networks learn to say a thing
#: once, so that two boxes close together are two things.
OVERLAP = {"yolox": 0.45, "yolov8": 0.45, "rtdetr": 0.8, "dfine": 0.8}


class Boxes(msgspec.Struct, frozen=True, kw_only=True):
    """Candidates: `corners` float32 (n, 4) left, top, right, bottom; `scores` float32 (n,), 0-1;
    `classes` int64 (n,), below `known`.
    """

    corners: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    known: int


def _yolox(outputs: Outputs, size: tuple[int, int]) -> Boxes:
    table = _only(outputs, "yolox", "(1, anchors, 5 + classes)")
    cells = [(size[0] // stride, size[1] // stride, stride) for stride in STRIDES]
    anchors = sum(rows * columns for rows, columns, _ in cells)
    if table.shape[0] != anchors or table.shape[1] < 6:
        raise _unlike("yolox", f"(1, {anchors}, 5 + classes)", outputs)
    grid = np.concatenate(
        [
            np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2)
            for rows, columns, _ in cells
        ]
    )
    stride = np.concatenate([np.full((rows * columns, 1), step) for rows, columns, step in cells])
    centres = (table[:, :2] + grid) * stride
    sides = np.exp(np.clip(table[:, 2:4], None, 20)) * stride
    return _scored(_around(centres, sides), table[:, 4:5] * table[:, 5:])


def _yolov8(outputs: Outputs, size: tuple[int, int]) -> Boxes:
    table = _only(outputs, "yolov8", "(1, 4 + classes, anchors)")
    anchors = sum((size[0] // stride) * (size[1] // stride) for stride in STRIDES)
    if table.shape[1] != anchors or table.shape[0] < 5:
        raise _unlike("yolov8", f"(1, 4 + classes, {anchors})", outputs)
    rows = table.T
    return _scored(_around(rows[:, :2], rows[:, 2:4]), rows[:, 4:])


def _detr(outputs: Outputs, size: tuple[int, int]) -> Boxes:
    if {"labels", "boxes", "scores"} <= set(outputs):
        return Boxes(
            corners=_floats(outputs["boxes"][0]),
            scores=_floats(outputs["scores"][0]),
            classes=np.asarray(outputs["labels"][0], np.int64),
            known=0,
        )
    if not {"logits", "pred_boxes"} <= set(outputs):
        wanted = "labels, boxes and scores, or logits and pred_boxes"
        raise _unlike("rtdetr or dfine", wanted, outputs)
    logits, boxes = _floats(outputs["logits"][0]), _floats(outputs["pred_boxes"][0])
    if boxes.ndim != 2 or boxes.shape[1] != 4 or logits.shape[0] != boxes.shape[0]:
        raise _unlike("rtdetr or dfine", "(1, n, classes) and (1, n, 4)", outputs)
    pixels = boxes * np.array([size[1], size[0]] * 2, np.float32)
    scores = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
    return _scored(_around(pixels[:, :2], pixels[:, 2:]), scores)


#: How the outputs of each kind of detector are read.
LAYOUTS: dict[str, Callable[[Outputs, tuple[int, int]], Boxes]] = {
    "yolox": _yolox,
    "yolov8": _yolov8,
    "rtdetr": _detr,
    "dfine": _detr,
}


def read_boxes(kind: str, outputs: Outputs, size: tuple[int, int]) -> Boxes:
    """Return what a detector of some kind says, fed with a picture of `size` (height, width).

    Raises `BadModel` when it says something that its kind does not.
    """
    return LAYOUTS[kind](outputs, size)


def objects_of(
    boxes: Boxes, placed: Placed, picture: Picture, names: tuple[str, ...], spec: ModelSpec
) -> Objects:
    """Return the objects in a picture, surest first; raises `BadModel` for a class without name."""
    by = spec.name
    if boxes.known not in (0, len(names)):
        raise BadModel(f"{by} knows {boxes.known} classes, and {len(names)} names are given")
    sure = np.flatnonzero((boxes.scores >= LEAST) & np.isfinite(boxes.corners).all(axis=1))
    corners, scores, classes = boxes.corners[sure], boxes.scores[sure], boxes.classes[sure]
    if classes.size and not 0 <= classes.min() <= classes.max() < len(names):
        raise BadModel(f"{by} speaks of class {classes.max()}, and {len(names)} names are given")
    kept = suppress(corners, scores, classes, OVERLAP[spec.kind])[:MOST]
    found = []
    for index, (left, top, right, bottom) in zip(
        kept, placed.back(corners[kept]).tolist(), strict=True
    ):
        box = box_at(left, top, right, bottom, picture)
        if box.width > 0 and box.height > 0:  # of what lies in the padding nothing is left
            found.append(
                FoundObject(
                    label=names[classes[index]],
                    confidence=round(min(float(scores[index]), 1.0), 4),
                    box=box,
                    detector=by,
                )
            )
    return Objects(width=picture.width, height=picture.height, objects=found)


def _only(outputs: Outputs, kind: str, wanted: str) -> NDArray[np.float32]:
    tables = [output for output in outputs.values() if output.ndim == 3]
    if len(tables) != 1:
        raise _unlike(kind, wanted, outputs)
    return _floats(tables[0][0])


def _floats(array: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(array, np.float32)


def _around(centres: NDArray[Any], sides: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(np.concatenate([centres - sides / 2, centres + sides / 2], 1), np.float32)


def _scored(corners: NDArray[np.float32], table: NDArray[Any]) -> Boxes:
    """Return boxes with the best class of each; `table`: (n, classes), 0-1."""
    classes = table.argmax(axis=1)
    return Boxes(
        corners=corners,
        scores=_floats(table[np.arange(len(table)), classes]),
        classes=np.asarray(classes, np.int64),
        known=table.shape[1],
    )


def _unlike(kind: str, wanted: str, outputs: Outputs) -> BadModel:
    told = ", ".join(f"{name} {array.shape}" for name, array in outputs.items())
    return BadModel(f"a {kind} says {wanted}; this one says {told}")
