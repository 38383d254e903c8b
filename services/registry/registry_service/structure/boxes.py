"""ISO base media file format (ISO/IEC 14496-12): boxes, and fields read in order."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from registry_service.structure.source import Source, corrupt, truncated

__all__ = ["Box", "Fields", "boxes", "child"]

MAX_BOXES = 4096
#: Boxes that are read whole hold tables, not pictures.
MAX_TABLE_BYTES = 4 * 1024 * 1024


class Box(msgspec.Struct, frozen=True):
    """A box: its four letters and its payload, from `start` to `stop` in the file."""

    kind: bytes
    start: int
    stop: int


def boxes(source: Source, start: int, stop: int) -> Iterator[Box]:
    """Yield the boxes that fill `start` to `stop` exactly; raises `Rejected`."""
    for _ in range(MAX_BOXES):
        if start == stop:
            return
        if start + 8 > stop:
            raise truncated("a box header")
        head = source.at(start, 8)
        length, body, kind = int.from_bytes(head[:4], "big"), start + 8, head[4:]
        if length == 1:
            length, body = source.number(body, 8, "a box header"), body + 8
        end = stop if length == 0 else start + length
        if end < body:
            raise corrupt(f"box {kind.decode('latin-1')!r} is shorter than its header")
        if end > stop:
            raise truncated(f"box {kind.decode('latin-1')!r}")
        yield Box(kind, body, end)
        start = end
    raise corrupt("too many boxes")


def child(source: Source, box: Box, kind: bytes, skip: int = 0) -> Box:
    """Return the first box of `kind` in `box`, `skip` bytes after its start; or `Rejected`."""
    for found in boxes(source, box.start + skip, box.stop):
        if found.kind == kind:
            return found
    raise corrupt(f"box {box.kind.decode('latin-1')} has no {kind.decode('latin-1')}")


class Fields:
    """The payload of a full box (version and flags), read field after field."""

    def __init__(self, source: Source, box: Box) -> None:
        if box.stop - box.start > MAX_TABLE_BYTES:
            raise corrupt(f"box {box.kind.decode('latin-1')} is too large")
        self._data = source.at(box.start, box.stop - box.start)
        self._at = 0
        self._kind = box.kind.decode("latin-1")
        self.version = self.take(1)
        self.flags = self.take(3)

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def raw(self, length: int) -> bytes:
        """Return the next `length` bytes."""
        if length > self.left:
            raise corrupt(f"box {self._kind} is too short")
        self._at += length
        return self._data[self._at - length : self._at]

    def take(self, length: int) -> int:
        """Return the next `length` bytes as a big-endian unsigned number."""
        return int.from_bytes(self.raw(length), "big")
