"""Haar cascades (Viola and Jones 2001) as OpenCV ships them, and how sure they are."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from inference_service.confidence import sureness
from inference_service.geometry import Rect

__all__ = ["Cascade", "Hit"]


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """Something found: its box in pixels of the grey picture, and how sure that is (0-1)."""

    rect: Rect
    confidence: float


class Cascade(msgspec.Struct, frozen=True, kw_only=True):
    """A cascade by its file in OpenCV; `even` and `spread`: see `sureness`.

    `neighbours`: how many overlapping windows make a hit; `step`: between sizes of the window.
    """

    file: str
    even: float
    spread: float
    neighbours: int = 4
    step: float = 1.1

    def find(self, grey: NDArray[np.uint8], *, least: int, mirrored: bool = False) -> list[Hit]:
        """Return what is at least `least` pixels wide; `mirrored`: what looks the other way."""
        seen = cv2.flip(grey, 1) if mirrored else grey
        rects, _, weights = _classifier(self.file).detectMultiScale3(
            seen,
            scaleFactor=self.step,
            minNeighbors=self.neighbours,
            minSize=(least, least),
            outputRejectLevels=True,
        )
        hits = []
        for (left, top, width, height), weight in zip(rects, weights, strict=True):
            x = grey.shape[1] - left - width if mirrored else left
            hits.append(
                Hit(
                    rect=(float(x), float(top), float(width), float(height)),
                    confidence=sureness(float(weight), self.even, self.spread),
                )
            )
        return hits


@functools.cache
def _classifier(file: str) -> cv2.CascadeClassifier:
    """Return the loaded cascade, read once in each worker process."""
    folder = Path(cv2.__file__).parent / "data"
    classifier = cv2.CascadeClassifier(str(folder / file))
    if classifier.empty():
        raise FileNotFoundError(f"OpenCV has no cascade {file}")
    return classifier
