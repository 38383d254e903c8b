"""A request body as it arrives: piece by piece, never more than allowed, never for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import msgspec
from imagesystem import logs
from imagesystem.errors import Rejected

__all__ = ["Body", "BodyLimit", "Receive"]

log = logs.get(__name__)

#: ASGI's `receive`.
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]

#: How much of a refused body is let through, and for how long, so that its sender hears why.
DISCARD_BYTES, DISCARD_S = 64 * 1024 * 1024, 10.0


class BodyLimit(msgspec.Struct, frozen=True, kw_only=True):
    """How long a body may be: `name` and `allowed` as in the settings.

    `overhead`: bytes around the picture (boundaries, headers, other fields) that do not count.
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
    """The body of one request."""

    def __init__(
        self, receive: Receive, headers: Mapping[str, str], limit: BodyLimit, idle_s: float
    ) -> None:
        self._receive = receive
        self._headers = headers
        self._limit = limit
        self._idle_s = idle_s
        self._more = True

    def check_headers(self) -> None:
        """Refuse what the headers alone forbid, before a byte is received.

        Raises `Rejected`: 413 `body_too_large`, 415 `unsupported_content_encoding`.
        """
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
        Content-Length), 408 `body_timeout` after `idle_s` seconds without a byte, 400
        `incomplete_body` when the client went away in the middle.
        """
        received = 0
        while self._more:
            body = await self._next(self._idle_s)
            received += len(body)
            if received > self._limit.allowed + self._limit.overhead:
                raise self._limit.refusal(received)
            if body:
                yield body

    async def discard(self) -> None:
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
                    left -= len(await self._next(DISCARD_S))

    async def _next(self, idle_s: float) -> bytes:
        try:
            async with asyncio.timeout(idle_s):
                message = await self._receive()
        except TimeoutError as error:
            self._more = False
            raise Rejected(
                408,
                "body_timeout",
                f"no byte of the body came for {idle_s:g} s",
                limit="IDLE_TIMEOUT_S",
                headers={"connection": "close"},
            ) from error
        if message["type"] == "http.disconnect":
            self._more = False
            log.info("upload_aborted")
            raise Rejected(400, "incomplete_body", "the body ended before its end")
        self._more = message.get("more_body", False)
        return bytes(message.get("body", b""))
