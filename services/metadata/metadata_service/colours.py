"""Colours as people see them: CIELAB, and how far apart two colours are.

Sources: IEC 61966-2-1 (sRGB), CIE 15 (CIELAB, D65). The distance is CIE76 ΔE*ab, the straight
line in CIELAB: a database can compute it for every picture. About 2.3 is just noticeable.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import lru_cache

import msgspec

__all__ = ["BIN", "Lab", "bin_of", "bins_around", "distance", "lab"]

#: Edge of the bins of CIELAB by which an index finds colours.
BIN = 20.0
_HEX = re.compile(r"#?([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")
#: Rows of the matrix from linear sRGB to XYZ, divided by the white point D65.
_XYZ = (
    (0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883),
)


class Lab(msgspec.Struct, frozen=True, array_like=True):
    """A colour in CIELAB: lightness 0-100, green-red and blue-yellow about ±128."""

    l: float  # noqa: E741  what CIE calls it
    a: float
    b: float


@lru_cache(maxsize=4096)
def lab(text: str) -> Lab:
    """Return the colour of sRGB hex (`#rrggbb`); raises ValueError."""
    found = _HEX.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a colour like #3366cc")
    linear = [_linear(int(part, 16) / 255) for part in found.groups()]
    x, y, z = (
        _compressed(sum(weight * value for weight, value in zip(row, linear, strict=True)))
        for row in _XYZ
    )
    return Lab(round(116 * y - 16, 2), round(500 * (x - y), 2), round(200 * (y - z), 2))


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _compressed(value: float) -> float:
    return math.cbrt(value) if value > 216 / 24389 else (24389 / 27 * value + 16) / 116


def distance(one: Lab, two: Lab) -> float:
    """Return ΔE*ab (CIE76)."""
    return math.dist((one.l, one.a, one.b), (two.l, two.a, two.b))


def bin_of(colour: Lab) -> str:
    """Return the name of the bin that a colour is in."""
    return ":".join(str(math.floor(value / BIN)) for value in (colour.l, colour.a, colour.b))


def bins_around(colour: Lab, within: float) -> Iterator[str]:
    """Yield the bins that a ball around a colour touches (its bounding box, to be exact)."""
    ranges = [
        range(math.floor((value - within) / BIN), math.floor((value + within) / BIN) + 1)
        for value in (colour.l, colour.a, colour.b)
    ]
    for first in ranges[0]:
        for second in ranges[1]:
            for third in ranges[2]:
                yield f"{first}:{second}:{third}"
