"""What an animated AVIF says besides its pixels: boxes in boxes (ISO/IEC 14496-12)."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["undated"]

_CONTAINERS = (b"moov", b"trak", b"mdia")
#: Full boxes that begin with the times of creation and modification, of 4 bytes or (version 1) 8.
_DATED = (b"mvhd", b"tkhd", b"mdhd")


def undated(data: bytes) -> bytes:
    """Return the file without the moment at which it was written.

    What is made again, or by another replica, has the same entity tag: it must be the same bytes.
    """
    clean = bytearray(data)
    for kind, start, stop in _boxes(data, 0, len(data)):
        if kind in _DATED and start < stop:
            length = 16 if data[start] == 1 else 8
            clean[start + 4 : start + 4 + length] = bytes(length)
    return bytes(clean)


def _boxes(data: bytes, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Go through all boxes: their kinds, and where their contents begin and end."""
    while start + 8 <= stop:
        size, kind = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8]
        end = start + size if size else stop
        if size == 1 or not start + 8 <= end <= stop:
            return  # (of 64 bits is pixels alone, and nothing comes after them)
        yield kind, start + 8, end
        if kind in _CONTAINERS:
            yield from _boxes(data, start + 8, end)
        start = end
