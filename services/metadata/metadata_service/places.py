"""Places on the earth: boxes, circles, and the cells of grids by which an index finds them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

__all__ = ["EARTH_KM", "Box", "Circle", "cells", "covering"]

#: Mean radius (IUGG).
EARTH_KM = 6371.0088
#: Edges of the cells in degrees, fine to coarse.
GRIDS = (0.1, 1.0, 10.0)
#: An index looks into so many cells at most for one question.
CELLS = 48


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """Degrees; `west` > `east` crosses the 180th meridian."""

    west: float
    south: float
    east: float
    north: float

    @classmethod
    def parse(cls, text: str) -> Box:
        """Return the box `west,south,east,north`; raises ValueError."""
        west, south, east, north = _numbers(text, 4, "west,south,east,north in degrees")
        _check(west, 180, "west")
        _check(east, 180, "east")
        _check(south, 90, "south")
        _check(north, 90, "north")
        if south > north:
            raise ValueError(f"south {south:g} is above north {north:g}")
        return cls(west=west, south=south, east=east, north=north)

    def holds(self, longitude: float, latitude: float) -> bool:
        """Say whether a point is in the box."""
        if not self.south <= latitude <= self.north:
            return False
        if self.west <= self.east:
            return self.west <= longitude <= self.east
        return longitude >= self.west or longitude <= self.east


class Circle(msgspec.Struct, frozen=True, kw_only=True):
    """A point in degrees and a radius in kilometres."""

    longitude: float
    latitude: float
    km: float

    @classmethod
    def parse(cls, text: str) -> Circle:
        """Return the circle `latitude,longitude,km` (`km` may follow); raises ValueError."""
        stripped = text.strip().removesuffix("km")
        latitude, longitude, km = _numbers(stripped, 3, "latitude,longitude,kilometres")
        _check(latitude, 90, "latitude")
        _check(longitude, 180, "longitude")
        if not 0 < km <= 20_000:
            raise ValueError(f"{km:g} km is not between 0 and 20000")
        return cls(longitude=longitude, latitude=latitude, km=km)

    def holds(self, longitude: float, latitude: float) -> bool:
        """Say whether a point is in the circle (haversine)."""
        one, two = math.radians(self.latitude), math.radians(latitude)
        across = math.radians(longitude - self.longitude)
        chord = (
            math.sin((two - one) / 2) ** 2
            + math.cos(one) * math.cos(two) * math.sin(across / 2) ** 2
        )
        return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(chord))) <= self.km

    @property
    def box(self) -> Box:
        """The box around it."""
        high = math.degrees(self.km / EARTH_KM)
        south, north = self.latitude - high, self.latitude + high
        if south <= -90 or north >= 90:  # a pole is inside: every longitude is
            return Box(west=-180, south=max(-90.0, south), east=180, north=min(90.0, north))
        ratio = math.sin(self.km / EARTH_KM) / math.cos(math.radians(self.latitude))
        wide = math.degrees(math.asin(min(1.0, ratio)))
        return Box(
            west=_wrapped(self.longitude - wide),
            south=south,
            east=_wrapped(self.longitude + wide),
            north=north,
        )


def cells(longitude: float, latitude: float) -> Iterator[str]:
    """Yield the cell of each grid that a point is in."""
    for size in GRIDS:
        yield _cell(size, _column(longitude, size), _row(latitude, size))


def covering(area: Box | Circle) -> list[str] | None:
    """Return the cells of the finest grid of which few cover the area; None if none has few."""
    box = area.box if isinstance(area, Circle) else area
    for size in GRIDS:
        columns = _columns(box, size)
        first, last = _row(box.south, size), _row(box.north, size)
        if len(columns) * (last - first + 1) <= CELLS:
            return [_cell(size, x, y) for x in columns for y in range(first, last + 1)]
    return None


def _columns(box: Box, size: float) -> list[int]:
    first, last = _column(box.west, size), _column(box.east, size)
    if box.west <= box.east:
        return list(range(first, last + 1))
    return sorted({*range(first, _column(180, size) + 1), *range(last + 1)})


def _column(longitude: float, size: float) -> int:
    return math.floor((longitude + 180) / size)


def _row(latitude: float, size: float) -> int:
    return math.floor((latitude + 90) / size)


def _cell(size: float, column: int, row: int) -> str:
    return f"{size:g}:{column}:{row}"


def _wrapped(longitude: float) -> float:
    return (longitude + 180) % 360 - 180


def _numbers(text: str, count: int, what: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{text!r} is not {what}")
    return numbers


def _check(value: float, most: float, name: str) -> None:
    if abs(value) > most:
        raise ValueError(f"{name} {value:g} is beyond {most:g} degrees")
