"""The task `faces`: where people look at the camera or past it."""

from __future__ import annotations

from typing import Literal

import cv2
import msgspec
import numpy as np
from imagesystem.events import Face, Faces, Vertex
from numpy.typing import NDArray

from inference_service.cascades import Cascade, Hit
from inference_service.decoding import Picture
from inference_service.geometry import Rect, box_at, vertex, without_overlaps

__all__ = ["MODEL", "SIDE", "VERSION", "find_faces"]

MODEL, VERSION = "haar-frontalface+profile", "1"
#: Pictures are searched with their longest side at most so many pixels.
SIDE = 480
#: The smallest face that is looked for, as a share of the longest side, and in pixels.
LEAST_SHARE, LEAST = 1 / 20, 24
#: Hits less sure than this are not told.
LEAST_CONFIDENCE = 0.5
#: One face is found from the front and from the side: the surer hit is kept.
MOST_OVERLAP = 0.3

#: Faces that are told, the surest: a fact must stay below 256 KiB.
MOST_FACES = 200

FRONTAL = Cascade(file="haarcascade_frontalface_default.xml", even=3.0, spread=1.0, step=1.15)
PROFILE = Cascade(file="haarcascade_profileface.xml", even=0.6, spread=0.4, step=1.15)
EYE = Cascade(file="haarcascade_eye.xml", even=0.0, spread=1.0)
#: Where in the box of a face eyes are looked for: down to this share of its height.
EYES_ABOVE = 0.6


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    hit: Hit
    pose: Literal["frontal", "profile"]


def find_faces(picture: Picture) -> Faces:
    """Return the faces of a picture, surest first, with the eyes of those seen from the front."""
    grey = np.asarray(cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    least = max(LEAST, round(max(grey.shape) * LEAST_SHARE))
    seen = [_Seen(hit=hit, pose="frontal") for hit in FRONTAL.find(grey, least=least)]
    for mirrored in (False, True):
        hits = PROFILE.find(grey, least=least, mirrored=mirrored)
        seen += [_Seen(hit=hit, pose="profile") for hit in hits]
    seen = [item for item in seen if item.hit.confidence >= LEAST_CONFIDENCE]
    kept = without_overlaps(
        [item.hit.rect for item in seen], [item.hit.confidence for item in seen], MOST_OVERLAP
    )
    return Faces(
        width=picture.width,
        height=picture.height,
        faces=[_told(seen[index], grey, picture) for index in kept[:MOST_FACES]],
    )


def _told(seen: _Seen, grey: NDArray[np.uint8], picture: Picture) -> Face:
    scale = picture.width / grey.shape[1]
    left, top, width, height = (value * scale for value in seen.hit.rect)
    return Face(
        box=box_at(left, top, left + width, top + height, picture),
        confidence=round(seen.hit.confidence, 4),
        pose=seen.pose,
        landmarks=_eyes(grey, seen.hit.rect, picture) if seen.pose == "frontal" else {},
    )


def _eyes(grey: NDArray[np.uint8], rect: Rect, picture: Picture) -> dict[str, Vertex]:
    """Return the surest eye in each half of a face; an eye that is not found is left out."""
    left, top, width, height = (round(value) for value in rect)
    face = grey[top : top + round(height * EYES_ABOVE), left : left + width]
    scale = picture.width / grey.shape[1]
    found: dict[str, Hit] = {}
    for hit in EYE.find(np.ascontiguousarray(face), least=max(8, width // 8)):
        name = "left_eye" if hit.rect[0] + hit.rect[2] / 2 < width / 2 else "right_eye"
        if name not in found or hit.confidence > found[name].confidence:
            found[name] = hit
    return {
        name: vertex(
            (left + hit.rect[0] + hit.rect[2] / 2) * scale,
            (top + hit.rect[1] + hit.rect[3] / 2) * scale,
            picture,
        )
        for name, hit in sorted(found.items())
    }
