"""The task `objects`: the few things that can be found without a learned model from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
from imagesystem.events import FoundObject, Objects
from numpy.typing import NDArray

from inference_service.cascades import Cascade, Hit
from inference_service.confidence import sureness
from inference_service.decoding import Picture
from inference_service.geometry import box_at, without_overlaps
from inference_service.objects.codes import find_codes

__all__ = ["MODEL", "SIDE", "VERSION", "find_objects"]

MODEL, VERSION = "hog-people+haar+codes", "2"
#: Codes are looked for with the longest side at most so many pixels, the rest with fewer.
SIDE, THINGS_SIDE = 1024, 640
#: Hits less sure than this are not told.
LEAST_CONFIDENCE = 0.5
#: Hits of one kind that overlap more than this are one.
MOST_OVERLAP = 0.4

CAT = Cascade(file="haarcascade_frontalcatface_extended.xml", even=0.0, spread=0.4, neighbours=3)
PLATE = Cascade(file="haarcascade_russian_plate_number.xml", even=2.3, spread=0.5)
#: What the people detector's margin must be for an even chance: text and masts reach 1.6.
PEOPLE_EVEN, PEOPLE_SPREAD = 1.7, 0.4
#: The window of the people detector has a margin of this share on each side of the person.
PEOPLE_MARGIN_X, PEOPLE_MARGIN_Y = 0.17, 0.08


def find_objects(picture: Picture) -> Objects:
    """Return people, cat faces, number plates, QR and bar codes, surest first."""
    found = [*_things(picture), *find_codes(picture)]
    found.sort(key=lambda item: -item.confidence)
    return Objects(width=picture.width, height=picture.height, objects=found)


def _things(picture: Picture) -> Iterator[FoundObject]:
    small = picture.reduced(THINGS_SIDE)
    grey = np.asarray(cv2.cvtColor(small.pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    scale = picture.width / grey.shape[1]
    for label, (detector, find) in DETECTORS.items():
        hits = [hit for hit in find(grey) if hit.confidence >= LEAST_CONFIDENCE]
        kept = without_overlaps(
            [hit.rect for hit in hits], [hit.confidence for hit in hits], MOST_OVERLAP
        )
        for index in kept:
            left, top, width, height = (value * scale for value in hits[index].rect)
            yield FoundObject(
                label=label,
                confidence=round(hits[index].confidence, 4),
                box=box_at(left, top, left + width, top + height, picture),
                detector=detector,
            )


def _people(grey: NDArray[np.uint8]) -> list[Hit]:
    """Return people who stand (Dalal and Triggs 2005); the picture must hold the window."""
    hog = cv2.HOGDescriptor()
    if grey.shape[1] < hog.winSize[0] or grey.shape[0] < hog.winSize[1]:
        return []
    hog.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())  # type: ignore[attr-defined]
    rects, weights = hog.detectMultiScale(grey, winStride=(8, 8), padding=(8, 8), scale=1.05)
    return [
        Hit(
            rect=(
                left + PEOPLE_MARGIN_X * width,
                top + PEOPLE_MARGIN_Y * height,
                width * (1 - 2 * PEOPLE_MARGIN_X),
                height * (1 - 2 * PEOPLE_MARGIN_Y),
            ),
            confidence=sureness(float(weight), PEOPLE_EVEN, PEOPLE_SPREAD),
        )
        for (left, top, width, height), weight in zip(rects, weights, strict=True)
    ]


#: What is looked for: the detector's name, and how it finds.
DETECTORS: dict[str, tuple[str, Callable[[NDArray[np.uint8]], list[Hit]]]] = {
    "person": ("hog-people", _people),
    "cat face": ("haar-frontalcatface-extended", lambda grey: CAT.find(grey, least=48)),
    "number plate": ("haar-plate-number", lambda grey: PLATE.find(grey, least=16)),
}
