"""EXIF (CIPA DC-008, 2.32): the fields that the fact carries, from bytes nobody can trust.

Only the few fields that are wanted are read, each bounded, so that neither size nor nonsense in
the data costs anything: what cannot be read is left out.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import msgspec
from imagesystem.errors import Rejected
from imagesystem.events import Exif, Gps

from registry_service.structure.ifd import Directory, Entry, Layout
from registry_service.structure.source import Source

__all__ = ["is_hostile", "read", "read_bytes", "with_orientation"]

PREFIX = b"Exif\0\0"
EXIF_IFD, GPS_IFD = 0x8769, 0x8825
ASCII, RATIONAL, SRATIONAL = 2, 5, 10
MAX_TEXT_BYTES = 1024
MAX_TEXT = 256
MAX_NUMBERS = 8
#: Field of the fact → tag in the main directory, tag in the EXIF directory.
MAIN_TEXTS = {
    "make": 0x010F, "model": 0x0110, "software": 0x0131, "artist": 0x013B, "copyright": 0x8298,
}  # fmt: skip
EXIF_RATIONALS = {"exposure_s": 0x829A, "f_number": 0x829D, "focal_length_mm": 0x920A}
ORIENTATION, DATE_TIME = 0x0112, 0x0132
LENS, ISO, TAKEN, TAKEN_OFFSET, TAKEN_FRACTION = 0xA434, 0x8827, 0x9003, 0x9011, 0x9291
#: The farthest from the sea that an altitude is believed, metres.
MAX_ALTITUDE_M = 1_000_000

T = TypeVar("T")


class _Fields:
    """The fields of one directory, each read on demand; None where there is nothing of use."""

    def __init__(self, source: Source, layout: Layout, directory: Directory) -> None:
        self.source, self.layout, self.entries = source, layout, directory.entries

    def _value(self, tag: int, read: Callable[[Entry], T | None]) -> T | None:
        entry = self.entries.get(tag)
        if entry is None or not entry.count:
            return None
        try:
            return read(entry)
        except Rejected:
            return None

    def text(self, tag: int) -> str | None:
        def read(entry: Entry) -> str | None:
            if entry.type != ASCII or entry.offset + entry.size > self.source.size:
                return None
            size = min(entry.size, MAX_TEXT_BYTES)
            raw = self.source.at(entry.offset, size).split(b"\0")[0]
            try:
                text = raw.decode()
            except UnicodeDecodeError:
                text = raw.decode("latin-1")
            return "".join(c for c in text if c.isprintable()).strip()[:MAX_TEXT] or None

        return self._value(tag, read)

    def integer(self, tag: int) -> int | None:
        values = self._value(
            tag, lambda entry: self.layout.integers(self.source, entry, MAX_NUMBERS)
        )
        return values[0] if values else None

    def rationals(self, tag: int) -> tuple[float, ...] | None:
        def read(entry: Entry) -> tuple[float, ...] | None:
            if entry.type not in (RATIONAL, SRATIONAL) or entry.count > MAX_NUMBERS:
                return None
            code = "I" if entry.type == RATIONAL else "i"
            data = self.source.at(entry.offset, entry.size)
            numbers = struct.unpack(f"{self.layout.order}{2 * entry.count}{code}", data)
            if not all(numbers[1::2]):
                return None
            return tuple(a / b for a, b in zip(numbers[::2], numbers[1::2], strict=True))

        return self._value(tag, read)

    def rational(self, tag: int) -> float | None:
        values = self.rationals(tag)
        return values[0] if values and values[0] >= 0 and math.isfinite(values[0]) else None

    def below(self, tag: int) -> _Fields:
        """Return the directory that a field points at; an empty one if there is none."""
        offset = self.integer(tag)
        try:
            directory = self.layout.directory(self.source, offset or 0) if offset else None
        except Rejected:
            directory = None
        return _Fields(self.source, self.layout, directory or Directory({}, 0, 0))


def read_bytes(data: bytes) -> Exif | None:
    """Return what EXIF bytes say (with or without `Exif\\0\\0`), None if nothing of use."""
    return read(Source(io.BytesIO(data.removeprefix(PREFIX).removeprefix(PREFIX))))


def read(source: Source) -> Exif | None:
    """Return what the TIFF structure in `source` says, None if nothing of use. Never raises."""
    try:
        layout = Layout.of(source)
        main = _Fields(source, layout, layout.directory(source, layout.first))
    except Rejected:
        return None
    exif, gps = main.below(EXIF_IFD), main.below(GPS_IFD)
    orientation, iso = main.integer(ORIENTATION), exif.integer(ISO)
    found = Exif(
        orientation=orientation if orientation and 0 < orientation < 9 else 1,
        lens=exif.text(LENS),
        iso=iso if iso and 0 < iso < 2**32 else None,
        taken_at=_taken_at(main, exif),
        gps=_gps(gps),
        **{name: main.text(tag) for name, tag in MAIN_TEXTS.items()},  # type: ignore[arg-type]
        **{name: exif.rational(tag) for name, tag in EXIF_RATIONALS.items()},  # type: ignore[arg-type]
    )
    return None if found == Exif() else found


def is_hostile(data: bytes) -> bool:
    """Say whether fields share bytes so that a reader who copies each value multiplies them.

    65 KB of EXIF can name 5000 values of 65 KB each; Pillow, with which everybody downstream
    decodes, loads them all.
    """
    source = Source(io.BytesIO(data.removeprefix(PREFIX).removeprefix(PREFIX)))
    try:
        layout = Layout.of(source)
        entries = layout.directory(source, layout.first).entries.values()
    except Rejected:
        return False
    inside = sum(entry.size for entry in entries if entry.offset + entry.size <= source.size)
    return inside > 4 * len(data) + MAX_TEXT_BYTES


def with_orientation(found: Exif | None, orientation: int | None) -> Exif | None:
    """Return `found` with the orientation that the container itself declares, if it does."""
    if orientation is None or orientation == (found or Exif()).orientation:
        return found
    return msgspec.structs.replace(found or Exif(), orientation=orientation)


def _taken_at(main: _Fields, exif: _Fields) -> str | None:
    """Return when it was taken as RFC 3339; without offset if the camera wrote none."""
    text = exif.text(TAKEN) or main.text(DATE_TIME) or ""
    fraction, offset = exif.text(TAKEN_FRACTION) or "", exif.text(TAKEN_OFFSET) or ""
    try:
        taken = datetime.strptime(text[:19], "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007  as written
    except ValueError:
        return None
    if fraction.isdecimal() and fraction.isascii():
        taken = taken.replace(microsecond=int(fraction[:6].ljust(6, "0")))
    try:
        zone = datetime.strptime(offset, "%z").tzinfo
    except ValueError:
        zone = None
    return taken.replace(tzinfo=zone).isoformat()


def _gps(fields: _Fields) -> Gps | None:
    latitude = _degrees(fields, 1, 2, "S", 90)
    longitude = _degrees(fields, 3, 4, "W", 180)
    if latitude is None or longitude is None:
        return None
    altitude = fields.rational(6)
    if altitude is not None and fields.integer(5) == 1:
        altitude = -altitude
    if altitude is not None and abs(altitude) > MAX_ALTITUDE_M:
        altitude = None
    return Gps(latitude=latitude, longitude=longitude, altitude=altitude)


def _degrees(fields: _Fields, reference: int, tag: int, negative: str, limit: int) -> float | None:
    values = fields.rationals(tag)
    if not values or len(values) > 3 or min(values) < 0:
        return None
    degrees = math.fsum(value / 60.0**n for n, value in enumerate(values))
    if not degrees <= limit:
        return None
    sign = -1 if (fields.text(reference) or "").upper().startswith(negative) else 1
    return sign * round(degrees, 7)
