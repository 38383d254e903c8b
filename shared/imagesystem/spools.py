"""Where a picture is kept while it arrives: in memory if it is small, else on disk."""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
from collections.abc import AsyncIterator
from types import TracebackType
from typing import BinaryIO, cast

from imagesystem.errors import StoreFull
from imagesystem.ids import PUBLIC, ImageIdHasher

__all__ = ["MemoryBudget", "Spool", "Spools"]

#: What is collected before it is hashed and written, in a thread.
FLUSH_BYTES = 256 * 1024
#: What is hashed and written in less time than a thread takes to begin.
AT_ONCE_BYTES = 64 * 1024
PIECE_BYTES = 512 * 1024
#: Bytes of one picture, and of all, that stay in memory unless a service says otherwise.
MEMORY_EACH, MEMORY_ALL = 1024 * 1024, 64 * 1024 * 1024


class MemoryBudget:
    """Bytes that all spools together may hold in memory. Used from the event loop alone."""

    def __init__(self, limit: int) -> None:
        self._free = limit

    def take(self, size: int) -> bool:
        """Take `size` bytes if they are there."""
        if size > self._free:
            return False
        self._free -= size
        return True

    def give(self, size: int) -> None:
        """Give `size` bytes back."""
        self._free += size


class Spool:
    """The bytes of one picture as they arrive, with their id and digest; closed, they are gone.

    Memory: at most what `Spools` allows, plus `FLUSH_BYTES` that are on their way.
    """

    def __init__(self, spools: Spools, owner: str) -> None:
        self._spools = spools
        self._hasher = ImageIdHasher(owner)
        self._arrived: list[bytes] = []
        self._arrived_bytes = 0
        self._in_memory = 0
        self._on_disk = self._closed = False
        self.size = 0
        self.owner = owner
        self.file: BinaryIO = io.BytesIO()

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def write(self, data: bytes) -> None:
        """Take the next bytes; raises `StoreFull` when there is no room on the disk."""
        self._arrived.append(data)
        self._arrived_bytes += len(data)
        self.size += len(data)
        if self._arrived_bytes >= FLUSH_BYTES:
            await self._flush()

    async def finish(self) -> None:
        """Put down what is on its way; afterwards `file`, `image_id` and `sha256` are whole."""
        await self._flush()

    @property
    def image_id(self) -> str:
        """The id of the image that these bytes are."""
        return self._hasher.image_id

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes, in hex."""
        return self._hasher.sha256

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the bytes from the first to the last, in pieces."""
        self.file.seek(0)
        while True:
            if self._on_disk:
                piece = await asyncio.to_thread(self.file.read, PIECE_BYTES)
            else:
                piece = self.file.read(PIECE_BYTES)
            if not piece:
                return
            yield piece

    async def whole(self) -> bytes:
        """Return all the bytes at once."""
        return b"".join([piece async for piece in self.pieces()])

    def close(self) -> None:
        """Let go of memory and disk. Safe to call twice."""
        self._arrived, self._arrived_bytes = [], 0
        self._leave_memory()
        self._closed = True
        self.file.close()

    async def _flush(self) -> None:
        arrived, size = self._arrived, self._arrived_bytes
        if not arrived:
            return
        self._arrived, self._arrived_bytes = [], 0
        move = False
        if not self._on_disk:
            fits = self._in_memory + size <= self._spools.memory_each
            if fits and self._spools.memory.take(size):
                self._in_memory += size
            else:
                move = self._on_disk = True
        try:
            if size <= AT_ONCE_BYTES:
                self._put_down(arrived, move)
            else:
                await asyncio.to_thread(self._put_down, arrived, move)
        except OSError as error:
            raise StoreFull(f"no room to receive the picture: {error.strerror}") from error
        if move:
            self._leave_memory()

    def _put_down(self, arrived: list[bytes], move: bool) -> None:
        if move:
            # nameless: gone with the process, however it ends
            file = cast("BinaryIO", tempfile.TemporaryFile(dir=self._spools.directory))  # noqa: SIM115
            file.write(cast("io.BytesIO", self.file).getbuffer())
            self.file = file
        for data in arrived:
            self._hasher.update(data)
            self.file.write(data)
        if self._closed:  # the request was given up while this thread was writing
            self.file.close()

    def _leave_memory(self) -> None:
        self._spools.memory.give(self._in_memory)
        self._in_memory = 0


class Spools:
    """Makes spools: `memory_each` bytes of one, `memory_all` of all stay in memory."""

    def __init__(
        self, *, memory_each: int = MEMORY_EACH, memory_all: int = MEMORY_ALL, directory: str = ""
    ) -> None:
        self.memory_each = memory_each
        self.memory = MemoryBudget(memory_all)
        self.directory = directory or tempfile.gettempdir()

    @property
    def unwritable(self) -> str | None:
        """None while files can be made in the folder, else one line that says why not."""
        if os.access(self.directory, os.W_OK | os.X_OK):
            return None
        return f"SPOOL_DIR={self.directory} is not a folder that can be written to"

    def open(self, owner: str = PUBLIC) -> Spool:
        """Return an empty spool for a picture of `owner`."""
        return Spool(self, owner)
