"""The order in which people read: rows from top to bottom, columns of prose one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import msgspec
import numpy as np

from inference_service.text.reading import Line

__all__ = ["in_reading_order"]

#: A column of prose has at least so many rows, each this many times longer than high.
LEAST_ROWS, PROSE = 3, 6.0
#: The gap between columns, in heights of a line.
GUTTER = 1.0


class _Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A line on the page as it is held to be read: an upright box."""

    line: Line
    left: float
    right: float
    top: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top


def in_reading_order(lines: Sequence[Line], turns: int) -> list[list[Line]]:
    """Return the rows of a page whose letters are turned by `turns` quarters, each left to right.

    A page is cut where no line is (recursive XY cut: Nagy and Seth 1984), between columns only
    if both sides are prose: a price stays on the row of what it is the price of.
    """
    if not lines:
        return []
    angle = _slope(lines, turns)
    return _rows([_place(line, angle) for line in lines])


def _slope(lines: Sequence[Line], turns: int) -> float:
    """Return the direction of reading in radians: the median of the lines in page direction."""
    chosen = [line for line in lines if line.turns == turns] or lines
    ways = np.array([line.corners[1] - line.corners[0] for line in chosen], np.float64)
    main = turns * np.pi / 2
    angles = np.arctan2(ways[:, 1], ways[:, 0])
    # relative to the page's direction, so that a median of angles near ±180° is one
    off = (angles - main + np.pi) % (2 * np.pi) - np.pi
    return float(main + np.median(off))


def _place(line: Line, angle: float) -> _Placed:
    across = line.corners @ np.array([np.cos(angle), np.sin(angle)])
    down = line.corners @ np.array([-np.sin(angle), np.cos(angle)])
    return _Placed(
        line=line,
        left=float(across.min()),
        right=float(across.max()),
        top=float(down.min()),
        bottom=float(down.max()),
    )


def _rows(placed: list[_Placed]) -> list[list[Line]]:
    if len(placed) > 1:
        for parts in (_columns(placed), _blocks(placed)):
            if len(parts) > 1:
                return [row for part in parts for row in _rows(part)]
    row: list[_Placed] = []
    rows: list[list[_Placed]] = []
    for item in sorted(placed, key=lambda item: item.top + item.bottom):
        middle = (item.top + item.bottom) / 2
        if row and middle > np.mean([other.bottom for other in row]):
            rows.append(row)
            row = []
        row.append(item)
    rows.append(row)
    return [[item.line for item in sorted(row, key=lambda item: item.left)] for row in rows]


def _columns(placed: list[_Placed]) -> list[list[_Placed]]:
    """Cut from top to bottom where that leaves prose on both sides."""
    gap = GUTTER * float(np.median([item.height for item in placed]))
    parts = _cut(placed, lambda item: (item.left, item.right), gap)
    return parts if all(_is_prose(part) for part in parts) else [placed]


def _blocks(placed: list[_Placed]) -> list[list[_Placed]]:
    """Cut from left to right at the widest gap between rows, if there is any."""
    parts = _cut(placed, lambda item: (item.top, item.bottom), 0.0)
    if len(parts) < 2:
        return parts
    gaps = [
        min(item.top for item in below) - max(item.bottom for item in above)
        for above, below in pairwise(parts)
    ]
    at = int(np.argmax(gaps)) + 1
    return [[i for part in parts[:at] for i in part], [i for part in parts[at:] for i in part]]


def _is_prose(part: list[_Placed]) -> bool:
    long = sum(item.right - item.left >= PROSE * item.height for item in part)
    return long >= LEAST_ROWS and 2 * long >= len(part)


def _cut(
    placed: list[_Placed], extent: Callable[[_Placed], tuple[float, float]], gap: float
) -> list[list[_Placed]]:
    """Split wherever more than `gap` is free of every extent."""
    parts: list[list[_Placed]] = []
    end = -np.inf
    for item in sorted(placed, key=extent):
        start, stop = extent(item)
        if start - end > gap:
            parts.append([])
        parts[-1].append(item)
        end = max(end, stop)
    return parts
