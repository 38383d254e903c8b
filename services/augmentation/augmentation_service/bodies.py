"""Request bodies as they arrive: never more than allowed, large ones on disk."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import IO, Any, TypeAlias

from imagesystem.errors import Rejected
from imagesystem.requests import patient

__all__ = ["Receive", "Spool", "check_headers", "read", "too_large"]

#: ASGI's `receive`.
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
_IN_MEMORY = 1024 * 1024


def too_large(limit: str, allowed: int, actual: int) -> Rejected:
    """Return the refusal of something of (at least) `actual` bytes."""
    return Rejected(
        413,
        "body_too_large",
        f"more than {allowed} bytes are not accepted",
        limit=limit,
        allowed=allowed,
        actual=actual,
    )


def check_headers(headers: Mapping[str, str], limit: str, allowed: int, overhead: int = 0) -> None:
    """Refuse what the headers alone forbid, before a byte is received.

    Raises `Rejected`: 413 `body_too_large`, 415 `unsupported_content_encoding`.
    """
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise Rejected(
            415, "unsupported_content_encoding", f"a body in {encoding[:40]!r} is not unpacked"
        )
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > allowed + overhead:
        raise too_large(limit, allowed, int(announced))


async def read(receive: Receive, limit: str, allowed: int, idle_s: float) -> AsyncIterator[bytes]:
    """Yield the body's pieces.

    Raises `Rejected`: 413 `body_too_large` as soon as there is too much, also where no length
    was announced; 400 `incomplete_body` when the client went away in the middle; 408
    `body_timeout` after `idle_s` seconds without a byte.
    """
    receive = patient(receive, idle_s, limit="IDLE_TIMEOUT_S")
    received, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Rejected(400, "incomplete_body", "the body ended before its end")
        piece, more = message.get("body", b""), message.get("more_body", False)
        received += len(piece)
        if received > allowed:
            raise too_large(limit, allowed, received)
        if piece:
            yield piece


class Spool:
    """Bytes written once and read once: the first MiB in memory, the rest in a file."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self.size = 0

    @property
    def sha256(self) -> str:
        """SHA-256 of everything written, in hex."""
        return self._digest.hexdigest()

    async def write(self, piece: bytes) -> None:
        """Append; the disk is written to in a thread."""
        self.size += len(piece)
        self._memory += piece
        self._digest.update(piece)
        if len(self._memory) > _IN_MEMORY:
            await asyncio.to_thread(self._flush)

    def _flush(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  closed by `close`
        self._file.write(self._memory)
        self._memory.clear()

    async def read(self) -> bytes:
        """Return everything written."""
        if self._file is None:
            return bytes(self._memory)
        return await asyncio.to_thread(self._read)

    def _read(self) -> bytes:
        if self._file is None:
            return bytes(self._memory)
        self._flush()
        self._file.seek(0)
        return self._file.read()

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of memory and disk."""
        self._memory.clear()
        if self._file is not None:
            self._file.close()
