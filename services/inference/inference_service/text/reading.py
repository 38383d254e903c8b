"""Lines of text in a picture, read in whatever direction they run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from inference_service.decoding import Pixels

if TYPE_CHECKING:  # worker processes alone load the networks' libraries
    from inference_service.text.engine import Engine, Found, Reading

__all__ = ["Line", "read_lines"]

#: A box this much longer than it is wide shows along which axis it is read.
LONG = 1.5
#: Lines that are read both ways to find out which end of the page is up.
PROBES = 4
#: A line read less surely than this is tried in the other directions too.
DOUBTFUL = 0.8
#: What is read less surely than this is no text; nor is what was hardly found *and* hardly read:
#: both probabilities multiplied (whiskers and cups are read as 0 and 8).
LEAST_READ, LEAST_BOTH = 0.5, 0.6
#: A single character must be found more surely: a cup in its saucer is an 8, whatever its size.
LEAST_FOUND_ALONE = 0.75


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line and what it says.

    `corners`: float32 (4, 2), pixels, clockwise from the corner where reading begins; `turns`:
    quarter turns clockwise by which its letters are turned (0: upright).
    """

    corners: NDArray[np.float32]
    turns: int
    text: str
    confidence: float


def read_lines(engine: Engine, pixels: Pixels, found: Sequence[Found]) -> list[Line]:
    """Return what the lines that were found say; what cannot be read is left out.

    The page's direction is found first, from the longest lines read both ways (the letters of
    upside-down lines are read with low probability); doubtful lines are then tried the other
    ways too, so that a page may hold lines of several directions.
    """
    if not found:
        return []
    page = _direction(engine, pixels, [item.corners for item in found])
    lines = []
    for item in found:
        turns, reading = _read(engine, pixels, item.corners, page)
        if _is_text(item, reading):
            lines.append(
                Line(
                    corners=_from_start(item.corners, turns),
                    turns=turns,
                    text=reading.text,
                    confidence=reading.confidence,
                )
            )
    return lines


def _is_text(found: Found, reading: Reading) -> bool:
    return (
        reading.confidence >= LEAST_READ
        and found.confidence * reading.confidence >= LEAST_BOTH
        and (
            len(reading.text) > 1 or (bool(reading.text) and found.confidence >= LEAST_FOUND_ALONE)
        )
    )


def _direction(engine: Engine, pixels: Pixels, boxes: Sequence[NDArray[np.float32]]) -> int:
    """Return the quarter turns of most of the text."""
    upright = sum(_width(box) for box in boxes if _width(box) >= LONG * _height(box))
    sideways = sum(_height(box) for box in boxes if _height(box) >= LONG * _width(box))
    ways = (0, 2) if upright >= sideways else (1, 3)
    along = _width if ways[0] == 0 else _height
    probes = sorted(boxes, key=along, reverse=True)[:PROBES]
    sure = {
        turns: sum(_weight(_read_at(engine, pixels, box, turns)) for box in probes)
        for turns in ways
    }
    return max(ways, key=lambda turns: sure[turns])


def _weight(reading: Reading) -> float:
    return reading.confidence**2 * min(len(reading.text), 12)


def _read(
    engine: Engine, pixels: Pixels, box: NDArray[np.float32], page: int
) -> tuple[int, Reading]:
    """Read a line in the page's direction, and in others while it is doubtful."""
    width, height = _width(box), _height(box)
    long_ways = (0, 2) if width >= height else (1, 3)
    if max(width, height) < LONG * min(width, height) or page in long_ways:
        ways = [page, (page + 2) % 4]
    else:
        ways = sorted(long_ways, key=lambda turns: (turns - page) % 4)
    best: tuple[int, Reading] | None = None
    for turns in ways:
        reading = _read_at(engine, pixels, box, turns)
        if best is None or reading.confidence > best[1].confidence:
            best = (turns, reading)
        if page in ways and reading.confidence >= DOUBTFUL:
            break
    assert best is not None  # noqa: S101  there are always two ways
    return best


def _read_at(engine: Engine, pixels: Pixels, box: NDArray[np.float32], turns: int) -> Reading:
    return engine.read(_cut(pixels, _from_start(box, turns)))


def _from_start(box: NDArray[np.float32], turns: int) -> NDArray[np.float32]:
    return np.roll(box, -turns, axis=0)


def _cut(pixels: Pixels, corners: NDArray[np.float32]) -> Pixels:
    """Return the line made upright, as high and wide as it is."""
    width, height = max(1, round(_width(corners))), max(1, round(_height(corners)))
    upright = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(np.ascontiguousarray(corners), upright)
    cut = cv2.warpPerspective(
        pixels,
        matrix,
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(cut, np.uint8)


def _width(corners: NDArray[np.float32]) -> float:
    return float(
        max(np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[3]))
    )


def _height(corners: NDArray[np.float32]) -> float:
    return float(
        max(np.linalg.norm(corners[3] - corners[0]), np.linalg.norm(corners[2] - corners[1]))
    )
