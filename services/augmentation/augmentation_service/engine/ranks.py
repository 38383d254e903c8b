"""The value of a rank among the neighbours of each pixel: medians and percentiles.

Small windows are sorted by Batcher's odd-even merge sort ("Sorting networks and their
applications", AFIPS 1968), of which only what the wanted rank depends on is carried out, on
whole rows of pixels at once: columns are sorted once and shared by all windows that they lie in.
For large windows, values up to each level are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["ranked"]

#: Larger windows are counted.
_MAX_SORTED = 9
#: Bytes of one operand: few enough for all of a window to stay in a core's cache, and for memory
#: to be taken without asking the system; for counting, what costs little to start with.
_STRIP_BYTES = {True: 1 << 16, False: 1 << 20}

#: Two registers that are compared: the smaller goes to the first, the larger to the second; and
#: which of the two results are needed.
_Step: TypeAlias = tuple[int, int, bool, bool]


def ranked(image: NDArray[np.uint8], size: int, rank: int) -> NDArray[np.uint8]:
    """Return the value of a rank, 0 the least, among `size` x `size` values around each.

    `image`: uint8 (H, W, C); beyond the picture are the pixels of its edge.
    """
    height, width, channels = image.shape
    before, after = size // 2, size - 1 - size // 2
    edges = (before, after, before, after)
    bordered: NDArray[Any] = cv2.copyMakeBorder(image, *edges, cv2.BORDER_REPLICATE)
    padded = bordered.reshape(height + size - 1, (width + size - 1) * channels)
    is_small = size <= _MAX_SORTED
    select = _sorted if is_small else _counted
    rows = max(1, _STRIP_BYTES[is_small] // (width * channels))
    result = np.empty((height, width * channels), np.uint8)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        result[top:bottom] = select(padded[top : bottom + size - 1], size, rank, channels)
    return result.reshape(image.shape)


def _sorted(strip: NDArray[np.uint8], size: int, rank: int, channels: int) -> NDArray[np.uint8]:
    height, width = strip.shape[0] - size + 1, strip.shape[1] - (size - 1) * channels
    sort, select, chosen = _network(size, rank)
    columns = [strip[down : down + height] for down in range(size)]
    _carry_out(sort, columns)
    registers = [
        column[:, across * channels : across * channels + width]
        for across in range(size)
        for column in columns
    ]
    _carry_out(select, registers)
    return registers[chosen]


def _carry_out(steps: tuple[_Step, ...], registers: list[NDArray[np.uint8]]) -> None:
    for low, high, needs_low, needs_high in steps:
        first, second = registers[low], registers[high]
        if needs_low:
            registers[low] = np.minimum(first, second)
        if needs_high:
            registers[high] = np.maximum(first, second)


def _counted(strip: NDArray[np.uint8], size: int, rank: int, channels: int) -> NDArray[np.uint8]:
    """Count, for each level, whether more values than the rank are above it."""
    height, width = strip.shape[0] - size + 1, strip.shape[1] // channels - size + 1
    pixels = strip.reshape(strip.shape[0], -1, channels)
    least = int(strip.min())
    result = np.full((height, width, channels), least, np.uint8)
    # The window of a place begins there: what lies beyond the strip is not looked at.
    for level in range(least, int(strip.max())):
        below = (pixels <= level).view(np.uint8)
        counts = cv2.boxFilter(below, cv2.CV_16U, (size, size), anchor=(0, 0), normalize=False)
        result += counts.reshape(pixels.shape)[:height, :width] <= rank
    return result.reshape(height, -1)


@lru_cache(64)
def _network(size: int, rank: int) -> tuple[tuple[_Step, ...], tuple[_Step, ...], int]:
    """Return how to sort a column, how to select among sorted columns, and what is chosen.

    Columns stand in blocks of a power of two. The places that are left over hold more than the
    highest value: nothing needs to be compared with them, values only change places.
    """
    block = 1 << (size - 1).bit_length()
    column = [(low, high, True, True) for low, high in _batcher(1, block) if high < size]
    places: list[int | None] = [
        place // block * size + place % block
        if place // block < size and place % block < size
        else None
        for place in range(block * block)
    ]
    compared: list[tuple[int, int]] = []
    for low, high in _batcher(block, block * block):
        first, second = places[low], places[high]
        if second is None:
            continue
        if first is None:
            places[low], places[high] = second, None
        else:
            compared.append((first, second))
    chosen = places[rank]
    if chosen is None:
        raise ValueError(f"{size} x {size} values have no rank {rank}")
    return tuple(column), _needed(compared, chosen), chosen


def _needed(compared: list[tuple[int, int]], chosen: int) -> tuple[_Step, ...]:
    """Return the comparisons that have a part in the register that is chosen."""
    needed = {chosen}
    steps: list[_Step] = []
    for low, high in reversed(compared):
        if low in needed or high in needed:
            steps.append((low, high, low in needed, high in needed))
            needed |= {low, high}
    return tuple(reversed(steps))


def _batcher(run: int, count: int) -> Iterator[tuple[int, int]]:
    """Yield the comparisons that sort `count` places whose runs of `run` are sorted."""
    while run < count:
        step = run
        while step:
            for start in range(step % run, count - step, 2 * step):
                for low in range(start, min(start + step, count - step)):
                    if low // (2 * run) == (low + step) // (2 * run):
                        yield low, low + step
            step //= 2
        run *= 2
