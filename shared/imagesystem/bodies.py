"""A request body as it arrives: piece by piece, never more than allowed, never for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeAlias

import msgspec

from imagesystem import logs
from imagesystem.errors import Rejected
from imagesystem.requests import patient

__all__ = ["DISCARD_BYTES", "Body", "BodyLimit", "Receive"]

log = logs.get(__name__)

#: ASGI's `receive`.
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]

#: How much of a refused body is let through, and for how long, so that its sender hears why.
DISCARD_BYTES, DISCARD_S = 64 * 1024 * 1024, 10.0


class BodyLimit(msgspec.Struct, frozen=True, kw_only=True):
    """How long a body may be: `name` and `allowed` as in the settings.

    `overhead`: bytes around what counts (boundaries, headers, other fields).
    """

    name: str
    allowed: int
    overhead: int = 0

    def refusal(self, actual: int) -> Rejected:
        """Return the refusal of a body of (at least) `actual` bytes."""
        return Rejected(
            413,
            "body_too_large",
            f"more than {self.allowed} bytes are not accepted",
            limit=self.name,
            allowed=self.allowed,
            actual=actual,
        )


class Body:
    """The body of one request: entered, its headers are checked; left by a refusal, it is let go.

    Raises `Rejected` when entered: 413 `body_too_large`, 415 `unsupported_content_encoding`.
    """

    def __init__(
        self, receive: Receive, headers: Mapping[str, str], limit: BodyLimit, idle_s: float
    ) -> None:
        self._receive = receive
        self._patient = patient(receive, idle_s, limit="IDLE_TIMEOUT_S")
        self._headers = headers
        self._limit = limit
        self._more = True

    async def __aenter__(self) -> Self:
        try:
            self._check_headers()
        except Rejected:
            await self._discard()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Rejected):
            await self._discard()

    def _check_headers(self) -> None:
        """Refuse what the headers alone forbid, before a byte is received."""
        encoding = self._headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise Rejected(
                415, "unsupported_content_encoding", f"a body in {encoding[:40]!r} is not unpacked"
            )
        announced = self._headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self._limit.allowed + self._limit.overhead:
            raise self._limit.refusal(int(announced))

    async def read(self) -> AsyncIterator[bytes]:
        """Yield the body's pieces as they arrive.

        Raises `Rejected`: 413 `body_too_large` as soon as there is too much (also without a
        Content-Length), 408 `body_timeout` after IDLE_TIMEOUT_S without a byte, 400
        `incomplete_body` when the client went away in the middle.
        """
        received = 0
        while self._more:
            body = await self._next()
            received += len(body)
            if received > self._limit.allowed + self._limit.overhead:
                raise self._limit.refusal(received)
            if body:
                yield body

    async def _discard(self) -> None:
        """Let the rest of a refused body come and go, up to `DISCARD_BYTES`.

        A client that is still sending when the connection is closed sees a reset instead of the
        answer that says what was wrong. One that waits for `100 Continue` sends nothing more.
        """
        if "expect" in self._headers:
            return
        left = DISCARD_BYTES
        with suppress(Rejected, TimeoutError):
            async with asyncio.timeout(DISCARD_S):
                while self._more and left > 0:
                    left -= len(self._piece(await self._receive()))

    async def whole(self) -> bytes:
        """Return all of it; raises as `read` does."""
        return b"".join([piece async for piece in self.read()])

    async def _next(self) -> bytes:
        try:
            return self._piece(await self._patient())
        except Rejected:
            self._more = False
            raise

    def _piece(self, message: Mapping[str, Any]) -> bytes:
        if message["type"] == "http.disconnect":
            self._more = False
            log.info("upload_aborted")
            raise Rejected(400, "incomplete_body", "the body ended before its end")
        self._more = message.get("more_body", False)
        return bytes(message.get("body", b""))
