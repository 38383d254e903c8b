"""Image file directories (TIFF 6.0 section 2, BigTIFF): what TIFF files and EXIF are made of."""

from __future__ import annotations

import struct
from typing import Literal

import msgspec

from registry_service.structure.source import Source, corrupt, truncated

__all__ = ["Directory", "Entry", "Layout"]

#: Bytes per value, by field type (classic 1-13, BigTIFF 16-18).
VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
VALUE_BYTES |= {16: 8, 17: 8, 18: 8}
#: Field type → struct code of unsigned and signed integers.
INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
MAX_ENTRIES = 4096


class Entry(msgspec.Struct, frozen=True):
    """One field: its tag, its type, how many values, where they are and their bytes."""

    tag: int
    type: int
    count: int
    offset: int
    size: int


class Directory(msgspec.Struct, frozen=True):
    """The fields by tag, where the next directory is (0: none), and where this one ends."""

    entries: dict[int, Entry]
    next: int
    stop: int


class Layout(msgspec.Struct, frozen=True):
    """Byte order and offset width of a file; `first` is where its first directory is."""

    order: Literal["<", ">"]
    big: bool
    first: int

    @classmethod
    def of(cls, source: Source) -> Layout:
        """Read the header at byte 0; raises `Rejected`."""
        head = source.at(0, 8, "the header")
        order: Literal["<", ">"] = "<" if head[:2] == b"II" else ">"
        if head[:2] not in (b"II", b"MM"):
            raise corrupt("no byte order")
        version = struct.unpack(order + "H", head[2:4])[0]
        if version == 42:
            return cls(order, False, struct.unpack(order + "I", head[4:8])[0])
        if version == 43 and struct.unpack(order + "HH", head[4:8]) == (8, 0):
            return cls(order, True, struct.unpack(order + "Q", source.at(8, 8, "the header"))[0])
        raise corrupt("no TIFF version")

    def directory(self, source: Source, offset: int) -> Directory:
        """Read the directory at `offset`; raises `Rejected` when it is not all there."""
        count_code, entry_bytes, pointer = ("Q", 20, "Q") if self.big else ("H", 12, "I")
        width = struct.calcsize(self.order + count_code)
        (count,) = struct.unpack(self.order + count_code, source.at(offset, width, "a directory"))
        if count > MAX_ENTRIES:
            raise corrupt("a directory with too many fields")
        start, after = offset + width, struct.calcsize(self.order + pointer)
        data = source.at(start, count * entry_bytes, "a directory")
        stop = start + len(data) + after
        (following,) = struct.unpack(self.order + pointer, source.at(stop - after, after))
        entries = [
            self._entry(data[n : n + entry_bytes], start + n)
            for n in range(0, len(data), entry_bytes)
        ]
        return Directory({entry.tag: entry for entry in entries}, following, stop)

    def _entry(self, data: bytes, at: int) -> Entry:
        code, inline = ("HHQQ", 8) if self.big else ("HHII", 4)
        tag, kind, count, offset = struct.unpack(self.order + code, data)
        size = count * VALUE_BYTES.get(kind, 0)
        return Entry(tag, kind, count, at + len(data) - inline if size <= inline else offset, size)

    def integers(self, source: Source, entry: Entry, limit: int) -> tuple[int, ...]:
        """Return the integers of a field, at most `limit` of them; raises `Rejected`."""
        code = INTEGERS.get(entry.type)
        if code is None or entry.count > limit:
            raise corrupt(f"field {entry.tag} holds no {limit} whole numbers")
        if entry.offset + entry.size > source.size:
            raise truncated(f"field {entry.tag}")
        data = source.at(entry.offset, entry.size, f"field {entry.tag}")
        return struct.unpack(f"{self.order}{entry.count}{code}", data)
