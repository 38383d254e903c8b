"""Random access to the bytes of a picture with bounded memory, and what is said when they end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from imagesystem.errors import Rejected

__all__ = ["BLOCK_BYTES", "Source", "corrupt", "truncated"]

WINDOW_BYTES = 64 * 1024
#: The largest piece that is held at once while data is skipped or summed.
BLOCK_BYTES = 1024 * 1024


def truncated(what: str) -> Rejected:
    """Return the refusal of a file that ends too early; `what` is missing or incomplete."""
    return Rejected(422, "truncated_image", f"the picture ends too early: {what}")


def corrupt(what: str) -> Rejected:
    """Return the refusal of a file whose structure contradicts its format."""
    return Rejected(422, "corrupt_image", f"the picture is damaged: {what}")


class Source:
    """The bytes of one file, read through a window; not for use by two threads at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        self._start = 0
        self._window = b""

    def at(self, offset: int, length: int, what: str = "data") -> bytes:
        """Return exactly `length` bytes from `offset`; raises `Rejected` `truncated_image`."""
        begin = offset - self._start
        if begin >= 0 and begin + length <= len(self._window):
            return self._window[begin : begin + length]
        if offset < 0 or offset + length > self.size:
            raise truncated(what)
        self._file.seek(offset)
        if length >= WINDOW_BYTES:
            data = self._file.read(length)
        else:
            self._start, self._window = offset, self._file.read(WINDOW_BYTES)
            data = self._window[:length]
        if len(data) != length:
            raise truncated(what)
        return data

    def number(self, offset: int, length: int, what: str = "data") -> int:
        """Return the big-endian unsigned number in `length` bytes at `offset`."""
        return int.from_bytes(self.at(offset, length, what), "big")

    def view(self, offset: int, ahead: int = 1) -> tuple[bytes, int]:
        """Return the window over `offset` and the place of `offset` in it, without copying.

        At least `ahead` bytes from `offset` are in the window, unless the file ends before.
        """
        begin = offset - self._start
        if not 0 <= begin <= len(self._window) - ahead:
            self._file.seek(offset)
            self._start, self._window, begin = offset, self._file.read(WINDOW_BYTES), 0
        return self._window, begin

    def need(self, stop: int, what: str) -> None:
        """Raise `Rejected` `truncated_image` unless the file has bytes up to `stop`."""
        if stop > self.size:
            raise truncated(what)

    def blocks(self, start: int, stop: int, what: str = "data") -> Iterator[bytes]:
        """Yield the bytes from `start` to `stop` in pieces of at most `BLOCK_BYTES`."""
        self.need(stop, what)
        while start < stop:
            block = self.at(start, min(BLOCK_BYTES, stop - start), what)
            yield block
            start += len(block)
