"""Drawing what was found on the picture, so that people can look at it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import msgspec
import numpy as np
from imagesystem.events import Box, Faces, Objects, Text, Vertex
from PIL import Image

from inference_service.decoding import Pixels, decode
from inference_service.models import Result

__all__ = ["DRAWN", "draw"]

#: RGB of boxes, of polygons and of landmarks; the dark line around each makes it visible anywhere.
BOX, POLYGON, LANDMARK, AROUND = (255, 196, 0), (0, 214, 255), (255, 64, 160), (0, 0, 0)


class _Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to draw: a box, its words, an outline, places."""

    words: str
    box: Box | None = None
    polygon: Sequence[Vertex] = ()
    places: Sequence[Vertex] = ()


def _of_text(text: Text) -> Iterator[_Mark]:
    for number, line in enumerate(text.lines, 1):
        yield _Mark(words=str(number), polygon=line.polygon)


def _of_faces(faces: Faces) -> Iterator[_Mark]:
    for face in faces.faces:
        words = f"{face.pose or 'face'} {face.confidence:.2f}"
        yield _Mark(words=words, box=face.box, places=list(face.landmarks.values()))


def _of_objects(objects: Objects) -> Iterator[_Mark]:
    for found in objects.objects:
        words = f"{found.label} {found.confidence:.2f}"
        yield _Mark(words=words, box=found.box, polygon=found.polygon)


#: The results that lie somewhere in the picture, and what of them is drawn.
DRAWN: dict[str, Callable[[Any], Iterator[_Mark]]] = {
    "text": _of_text,
    "faces": _of_faces,
    "objects": _of_objects,
}


def draw(data: bytes, task: str, result: Result, *, side: int, max_pixels: int) -> bytes:
    """Return a PNG of the picture, its longest side at most `side` pixels, with what was found.

    Raises what `decode` raises. Runs in a worker process.
    """
    picture = decode(data, max_pixels=max_pixels, side=side)
    canvas = picture.pixels.copy()
    height, width = canvas.shape[:2]
    thick = max(1, round(max(width, height) / 400))
    for mark in DRAWN[task](result):
        if mark.box is not None:
            _outline(canvas, _corners(mark.box), BOX, thick)
        if mark.polygon:
            _outline(canvas, mark.polygon, POLYGON, thick)
        for place in mark.places:
            centre = round(place.relative.x * width), round(place.relative.y * height)
            cv2.circle(canvas, centre, 3 * thick, AROUND, -1, cv2.LINE_AA)
            cv2.circle(canvas, centre, 2 * thick, LANDMARK, -1, cv2.LINE_AA)
        _write(canvas, mark, thick)
    stream = io.BytesIO()
    Image.fromarray(canvas).save(stream, "PNG", compress_level=4)
    return stream.getvalue()


def _corners(box: Box) -> list[Vertex]:
    left, top = box.relative.x, box.relative.y
    right, bottom = left + box.relative.width, top + box.relative.height
    return [_at(left, top), _at(right, top), _at(right, bottom), _at(left, bottom)]


def _at(x: float, y: float) -> Vertex:
    return msgspec.convert({"x": 0.0, "y": 0.0, "relative": {"x": x, "y": y}}, Vertex)


def _outline(
    canvas: Pixels, polygon: Sequence[Vertex], colour: tuple[int, int, int], thick: int
) -> None:
    points = _points(canvas, polygon)
    cv2.polylines(canvas, [points], True, AROUND, thick + 2, cv2.LINE_AA)
    cv2.polylines(canvas, [points], True, colour, thick, cv2.LINE_AA)


def _points(canvas: Pixels, polygon: Sequence[Vertex]) -> np.ndarray[Any, np.dtype[np.int32]]:
    height, width = canvas.shape[:2]
    places = [(corner.relative.x * width, corner.relative.y * height) for corner in polygon]
    return np.round(np.array(places)).astype(np.int32)


def _write(canvas: Pixels, mark: _Mark, thick: int) -> None:
    """Write what it is: above a box, or below where there is no room; where a line begins."""
    corners = _corners(mark.box) if mark.box is not None else mark.polygon[:1]
    points = _points(canvas, corners)
    size = 0.4 + 0.1 * thick
    (_, height), _ = cv2.getTextSize(mark.words, cv2.FONT_HERSHEY_SIMPLEX, size, thick)
    left, top = int(points[:, 0].min()), int(points[:, 1].min())
    above = top - 4
    place = (left, above if above > height else int(points[:, 1].max()) + height + 6)
    for colour, width in ((AROUND, thick + 2), (BOX, thick)):
        cv2.putText(
            canvas, mark.words, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, width, cv2.LINE_AA
        )
