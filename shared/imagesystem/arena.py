"""Bytes that a service and its worker processes both have, so that none are sent twice.

A ring in memory: what is new takes the place of what is oldest. Only the service writes; the
kernel refuses everybody else (a sealed memfd), since workers meet untrusted files.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import reduction
from typing import Any

import msgspec

__all__ = ["Arena", "Piece", "Window"]

#: memfd_create(2), Linux 5.1: mappings that exist may write, nobody else may.
F_SEAL_FUTURE_WRITE = 0x10


class Piece(msgspec.Struct, frozen=True):
    """Where some bytes are in the arena; as an argument of a worker's call it becomes them."""

    start: int
    size: int

    def overlaps(self, other: Piece) -> bool:
        """Say whether they share a byte."""
        return self.start < other.start + other.size and other.start < self.start + self.size


class Arena:
    """`size` bytes; pieces by name. Raises `OSError` where the system has no such memory."""

    def __init__(self, size: int) -> None:
        if not hasattr(os, "memfd_create"):
            raise OSError("shared memory that can be sealed is Linux's")
        self.size = size
        self._fd = os.memfd_create("arena", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self._fd, size)
            self._memory = mmap.mmap(self._fd, size)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | F_SEAL_FUTURE_WRITE
            fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, seals | fcntl.F_SEAL_SEAL)
        except BaseException:
            os.close(self._fd)
            raise
        self._head = 0
        self._pieces: OrderedDict[str, Piece] = OrderedDict()
        self._held: Counter[Piece] = Counter()

    def close(self) -> None:
        """Give the memory back; processes that have a window keep it until they end."""
        self._pieces.clear()
        self._memory.close()
        os.close(self._fd)

    def get(self, name: str) -> Piece | None:
        """Return where the bytes of that name are, None if they are not there."""
        return self._pieces.get(name)

    def put(self, name: str, data: bytes) -> Piece | None:
        """Take the bytes in; None where they would be a quarter of all, or hold others up."""
        if not 0 < len(data) <= self.size // 4:
            return None
        wraps = self._head + len(data) > self.size
        piece = Piece(0 if wraps else self._head, len(data))
        if any(piece.overlaps(held) for held in self._held):
            return None
        self._pieces.pop(name, None)
        self._make_room(piece, wraps=wraps)
        self._memory[piece.start : piece.start + piece.size] = data
        self._pieces[name] = piece
        self._head = piece.start + piece.size
        return piece

    def _make_room(self, piece: Piece, *, wraps: bool) -> None:
        """Take out what is in the way: the oldest pieces, which are ahead of the newest."""
        while self._pieces:
            name, oldest = next(iter(self._pieces.items()))
            if not piece.overlaps(oldest) and not (wraps and oldest.start >= self._head):
                return
            del self._pieces[name]

    def drop(self, name: str) -> None:
        """Forget the bytes of that name."""
        self._pieces.pop(name, None)

    @contextmanager
    def holding(self, piece: Piece) -> Iterator[None]:
        """Let nothing take the place of a piece until the block is left."""
        self._held[piece] += 1
        try:
            yield
        finally:
            self._held[piece] -= 1
            if not self._held[piece]:
                del self._held[piece]

    def window(self) -> Window:
        """Return what a process that is being started can read the pieces through."""
        return Window(self._fd)


class Window:
    """Reads pieces in another process; travels there while that one is started."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (reduction.DupFd(self._fd),)

    def read(self, piece: Piece) -> bytes:
        """Return the bytes of a piece."""
        return os.pread(self._fd, piece.size, piece.start)


def _arrived(duplicate: Any) -> Window:
    return Window(duplicate.detach())
