"""Labels drawn on pictures, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from augmentation_service.engine import Image, MovedLabels
from augmentation_service.engine.images import as_channels

__all__ = ["drawn"]

#: sRGB; labels of one name have one colour.
_COLOURS = (
    (230, 25, 75),
    (60, 180, 75),
    (0, 130, 200),
    (245, 130, 48),
    (145, 30, 180),
    (70, 240, 240),
    (240, 50, 230),
    (210, 245, 60),
)
#: Coordinates are drawn with so many bits after the point.
_SHIFT = 4


def drawn(image: Image, labels: MovedLabels) -> Image:
    """Return a uint8 picture with its labels on it: RGB, or RGBA."""
    canvas = np.ascontiguousarray(as_channels(image, 4 if image.shape[2] == 4 else 3)).copy()
    pen = _Pen(canvas)
    for box in labels.boxes:
        corners = [
            (box.x_min, box.y_min),
            (box.x_max, box.y_min),
            (box.x_max, box.y_max),
            (box.x_min, box.y_max),
        ]
        pen.outline(corners, box.label)
    for polygon in labels.polygons:
        pen.outline(polygon.points, polygon.label)
    for turned in labels.rotated_boxes:
        middle, size = (turned.x, turned.y), (turned.width, turned.height)
        pen.outline(cv2.boxPoints((middle, size, -turned.angle)).tolist(), turned.label)
    for point in labels.keypoints:
        pen.dot((point.x, point.y), point.label, visible=point.visible)
    return canvas


class _Pen:
    def __init__(self, canvas: Image) -> None:
        self._canvas = canvas
        self._width = max(1, round(min(canvas.shape[:2]) / 200))

    def _colour(self, label: str | None) -> tuple[int, ...]:
        red, green, blue = _COLOURS[sum((label or "").encode()) % len(_COLOURS)]
        return (red, green, blue, 255)[: self._canvas.shape[2]]

    def outline(self, points: Sequence[Sequence[float]], label: str | None) -> None:
        # Far outside there is nothing to see, and OpenCV's coordinates end.
        places = np.clip(np.array(points), -30_000, 30_000) * (1 << _SHIFT)
        corners = places.round().astype(np.int32).reshape(-1, 1, 2)
        colour = self._colour(label)
        cv2.polylines(self._canvas, [corners], True, colour, self._width, cv2.LINE_AA, shift=_SHIFT)
        if label:
            x, y = corners.reshape(-1, 2).min(axis=0) >> _SHIFT
            self._write(label, (int(x), int(y)), colour)

    def _write(self, label: str, corner: tuple[int, int], colour: tuple[int, ...]) -> None:
        text = label.encode("ascii", "replace").decode()[:40]
        scale = max(0.35, self._width * 0.4)
        (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        x, y = max(0, corner[0]), max(height + 4, corner[1])
        cv2.rectangle(self._canvas, (x, y - height - 4), (x + width + 4, y), colour, -1)
        white = (255, 255, 255, 255)[: self._canvas.shape[2]]
        place = (x + 2, y - 3)
        cv2.putText(
            self._canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, white, 1, cv2.LINE_AA
        )

    def dot(self, place: tuple[float, float], label: str | None, *, visible: bool) -> None:
        x, y = (round(min(max(value, -30_000), 30_000)) for value in place)
        radius = 2 + self._width
        thickness = -1 if visible else 1
        cv2.circle(self._canvas, (x, y), radius, self._colour(label), thickness, cv2.LINE_AA)
