"""What YuNet says (Wu et al. 2023): faces with five landmarks, at three strides."""

from __future__ import annotations

import numpy as np
from imagesystem.events import Box, Face, Faces
from imagesystem.models import BadModel
from numpy.typing import NDArray

from inference_service.decoding import Picture
from inference_service.geometry import box_at, vertex
from inference_service.networks.detectors import Outputs
from inference_service.networks.preparation import Placed
from inference_service.networks.suppression import suppress

__all__ = ["LANDMARKS", "faces_of"]

STRIDES = (8, 16, 32)
#: What is less sure than this is not told; faces that overlap more than this are one.
LEAST, OVERLAP = 0.6, 0.3
#: In the network's order, whose right is the person's: left in the picture.
LANDMARKS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")


def faces_of(outputs: Outputs, placed: Placed, picture: Picture) -> Faces:
    """Return the faces in a picture, surest first; raises `BadModel` if this is no YuNet."""
    high, wide = placed.tensor.shape[2:]
    parts = [_at(outputs, stride, high // stride, wide // stride) for stride in STRIDES]
    scores, corners, places = (
        np.concatenate([part[index] for part in parts]) for index in range(3)
    )
    sure = np.flatnonzero(scores >= LEAST)
    scores, corners, places = scores[sure], corners[sure], places[sure]
    kept = suppress(corners, scores, np.zeros(len(scores), np.int64), OVERLAP)
    corners, places = placed.back(corners), placed.back(places)
    boxes = corners.tolist()
    return Faces(
        width=picture.width,
        height=picture.height,
        faces=[
            Face(
                box=_box(boxes[index], picture),
                confidence=round(float(scores[index]), 4),
                landmarks={
                    name: vertex(float(x), float(y), picture)
                    for name, (x, y) in zip(LANDMARKS, places[index].reshape(-1, 2), strict=True)
                },
            )
            for index in kept
        ],
    )


def _box(corners: list[float], picture: Picture) -> Box:
    left, top, right, bottom = corners
    return box_at(left, top, right, bottom, picture)


def _at(
    outputs: Outputs, stride: int, rows: int, columns: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return scores (n,), corners (n, 4) and landmarks (n, 10) of one stride, in input pixels."""
    told: dict[str, NDArray[np.float32]] = {}
    for name, width in {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}.items():
        output = outputs.get(f"{name}_{stride}")
        if output is None or output.size != rows * columns * width:
            raise BadModel(
                f"a yunet says {name}_{stride} with {rows * columns} x {width} numbers; this one "
                f"says {', '.join(f'{key} {array.shape}' for key, array in outputs.items())}"
            )
        told[name] = np.asarray(output, np.float32).reshape(-1, width)
    cell = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2)
    scores = np.sqrt(np.clip(told["cls"], 0, 1) * np.clip(told["obj"], 0, 1))[:, 0]
    centres = (cell + told["bbox"][:, :2]) * stride
    half = np.exp(np.clip(told["bbox"][:, 2:], None, 20)) * stride / 2
    corners = np.concatenate([centres - half, centres + half], 1)
    places = (told["kps"] + np.tile(cell, 5)) * stride
    return scores, np.asarray(corners, np.float32), np.asarray(places, np.float32)
