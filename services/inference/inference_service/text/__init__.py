"""The task `text`: what is written in a picture, line by line, in reading order."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import version
from typing import TYPE_CHECKING

import cv2
import msgspec
import numpy as np
from imagesystem.events import Text, TextLine

from inference_service.decoding import Picture, Pixels
from inference_service.geometry import box_around, vertex
from inference_service.text.direction import runs_left
from inference_service.text.order import in_reading_order
from inference_service.text.reading import Line, read_lines

if TYPE_CHECKING:  # worker processes alone load the networks' libraries
    from inference_service.text.engine import Engine

__all__ = ["LANGUAGES", "MODEL", "SIDE", "VERSION", "load", "read_text", "text_by"]

MODEL = "PP-OCRv6-small"
#: The wheel that the networks are from, and the revision of what is done around them here.
VERSION = f"rapidocr-{version('rapidocr')}+1"
_CODES = """
af az bs ca cs cy da de en es et eu fi fr ga gl hr hu id is it ja ku la lb lt lv mi ms mt nl no oc
pl pt qu rm ro sk sl sq sr sv sw tl tr uz vi zh
"""
#: ISO 639-1 codes of the languages that the makers of the shipped network say it reads.
LANGUAGES = tuple(_CODES.split())
#: Pictures are searched with their longest side at most so many pixels.
SIDE = 1536
#: Small pictures are enlarged, at most twofold, until their shorter side has so many pixels.
SHORT_SIDE, MOST_ENLARGED = 736, 2.0
#: Lines that are read of one picture, characters of a line, and bytes of all of them that are
#: told: a fact must stay below 256 KiB.
MOST_LINES, MOST_CHARACTERS, MOST_BYTES = 250, 400, 30_000


def read_text(picture: Picture) -> Text:
    """Return what is written in a picture, upright, upside down or sideways."""
    # Worker processes alone need the networks, and their libraries take a second to load.
    from inference_service.text.engine import engine  # noqa: PLC0415

    return text_by(engine(), picture, LANGUAGES)


def text_by(networks: Engine, picture: Picture, languages: tuple[str, ...]) -> Text:
    """Return what networks read in a picture, and the languages that they are said to read."""
    pixels = _enlarged(picture.pixels)
    # largest first: what is left out, if anything, is the small print
    found = sorted(networks.find(pixels), key=lambda item: -cv2.contourArea(item.corners))
    lines = read_lines(networks, pixels, found[:MOST_LINES])
    turns = _most(lines)
    ordered = in_reading_order(lines, turns)
    rows = _bounded([_from_its_start(row) for row in ordered])
    scale = picture.width / pixels.shape[1], picture.height / pixels.shape[0]
    return Text(
        width=picture.width,
        height=picture.height,
        text="\n".join(" ".join(line.text for line in row) for row in rows),
        lines=[_told(line, picture, scale) for row in rows for line in row],
        languages=list(languages),
        rotation=-90 * turns % 360,
        truncated=len(found) > MOST_LINES or _letters(rows) < _letters(ordered),
    )


def load() -> None:
    """Load the networks and let each of them work once."""
    blank = np.full((64, 256, 3), 255, np.uint8)
    cv2.putText(blank, "ready", (40, 44), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (0, 0, 0), 3)
    read_text(Picture(pixels=blank, width=256, height=64))


def _from_its_start(row: list[Line]) -> list[Line]:
    """Return the lines of a row, which come from left to right, as they are read."""
    return row[::-1] if runs_left("".join(line.text for line in row)) else row


def _enlarged(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    factor = min(MOST_ENLARGED, SHORT_SIDE / min(height, width), SIDE / max(height, width))
    if factor <= 1:
        return pixels
    size = round(width * factor), round(height * factor)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _bounded(rows: list[list[Line]]) -> list[list[Line]]:
    """Return the rows up to `MOST_BYTES`, no line longer than `MOST_CHARACTERS`."""
    kept: list[list[Line]] = []
    left = MOST_BYTES
    for row in rows:
        short = [
            line
            if len(line.text) <= MOST_CHARACTERS
            else msgspec.structs.replace(line, text=line.text[:MOST_CHARACTERS])
            for line in row
        ]
        left -= sum(len(line.text.encode()) + 1 for line in short)
        if left < 0:
            break
        kept.append(short)
    return kept


def _letters(rows: list[list[Line]]) -> int:
    return sum(len(line.text) for row in rows for line in row)


def _most(lines: list[Line]) -> int:
    """Return the quarter turns of most letters."""
    letters: Counter[int] = Counter()
    for line in lines:
        letters[line.turns] += len(line.text)
    return max(letters, key=lambda turns: letters[turns], default=0)


def _told(line: Line, picture: Picture, scale: tuple[float, float]) -> TextLine:
    corners = line.corners * np.asarray(scale, np.float32)
    return TextLine(
        text=line.text,
        confidence=round(min(line.confidence, 1.0), 4),
        polygon=[vertex(float(x), float(y), picture) for x, y in corners],
        box=box_around(corners, picture),
    )
