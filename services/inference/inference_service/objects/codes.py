"""QR and bar codes: found and decoded by OpenCV; what cannot be decoded is not told."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from imagesystem.events import FoundObject
from numpy.typing import NDArray

from inference_service.decoding import Picture, Pixels
from inference_service.geometry import Rect, box_around, overlap, vertex

__all__ = ["find_codes"]

#: Bar codes are read along rows and at one scale: the picture is tried turned and smaller too.
SCALES = (1.0, 0.5, 0.25)
LEAST_SIDE = 64
#: Two readings of the same text that overlap so much are one code.
SAME = 0.2
#: Codes that are told, and characters of what each says: a fact must stay below 256 KiB, even
#: if every character has to be escaped.
MOST_CODES, MOST_DECODED = 30, 1000

_Corners = NDArray[np.float32]


def find_codes(picture: Picture) -> list[FoundObject]:
    """Return the codes; a code that passes its own checks is certain: confidence 1."""
    grey = np.asarray(cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    scale = picture.width / grey.shape[1]
    told: list[FoundObject] = []
    for label, detector, text, corners in (*_qr_codes(grey), *_bar_codes(grey)):
        code = FoundObject(
            label=label,
            confidence=1.0,
            box=box_around(corners * scale, picture),
            detector=detector,
            polygon=[vertex(float(x * scale), float(y * scale), picture) for x, y in corners],
            decoded=text[:MOST_DECODED],
        )
        if not any(_same(code, other) for other in told):
            told.append(code)
    return told[:MOST_CODES]


def _same(one: FoundObject, other: FoundObject) -> bool:
    return one.decoded == other.decoded and overlap(_rect(one), _rect(other)) > SAME


def _rect(code: FoundObject) -> Rect:
    return code.box.x, code.box.y, code.box.width, code.box.height


def _qr_codes(grey: Pixels) -> Iterator[tuple[str, str, str, _Corners]]:
    # of 140 codes drawn on photographs and on white OpenCV's other detector reads 93, this one 127
    found, texts, corners, _ = cv2.QRCodeDetectorAruco().detectAndDecodeMulti(grey)
    if found:
        for text, polygon in zip(texts, corners, strict=True):
            if text:
                yield "qr code", "opencv-qr", text, np.asarray(polygon, np.float32)


def _bar_codes(grey: Pixels) -> Iterator[tuple[str, str, str, _Corners]]:
    detector = cv2.barcode.BarcodeDetector()
    for scale in SCALES:
        height, width = (round(side * scale) for side in grey.shape)
        if min(height, width) < LEAST_SIDE:
            return
        small = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
        for turned in (False, True):
            seen = cv2.rotate(small, cv2.ROTATE_90_CLOCKWISE) if turned else small
            found, texts, kinds, corners = detector.detectAndDecodeWithType(seen)
            if not found:
                continue
            for text, kind, polygon in zip(texts, kinds, corners, strict=True):
                if text:
                    place = np.asarray(polygon, np.float32)
                    back = _turned_back(place, height) if turned else place
                    name = kind.replace("_", "-")
                    yield f"bar code {name}", "opencv-barcode", text, back / scale


def _turned_back(polygon: _Corners, height: int) -> _Corners:
    """Return where corners lie in a picture of that height, before it was turned clockwise."""
    return np.stack([polygon[:, 1], height - polygon[:, 0]], axis=1)
