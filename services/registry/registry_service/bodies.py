"""A request body as it arrives: piece by piece, never more than allowed, never for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import msgspec
from imagesystem import logs
from imagesystem.errors import Rejected

__all__ = ["BodyLimit", "Receive", "read"]

log = logs.get(__name__)

#: ASGI's `receive`.
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]


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


def check_headers(headers: Mapping[str, str], limit: BodyLimit) -> None:
    """Refuse what the headers alone forbid, before a byte is received.

    Raises `Rejected`: 413 `body_too_large`, 415 `unsupported_content_encoding`.
    """
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise Rejected(
            415, "unsupported_content_encoding", f"a body in {encoding[:40]!r} is not unpacked"
        )
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit.allowed + limit.overhead:
        raise limit.refusal(int(announced))


async def read(receive: Receive, limit: BodyLimit, idle_s: float) -> AsyncIterator[bytes]:
    """Yield the body's pieces as they arrive.

    Raises `Rejected`: 413 `body_too_large` as soon as there is too much (also without a
    Content-Length), 408 `body_timeout` after `idle_s` seconds without a byte, 400
    `incomplete_body` when the client went away in the middle.
    """
    received, more = 0, True
    while more:
        try:
            async with asyncio.timeout(idle_s):
                message = await receive()
        except TimeoutError as error:
            raise Rejected(
                408,
                "body_timeout",
                f"no byte of the body came for {idle_s:g} s",
                limit="IDLE_TIMEOUT_S",
                headers={"connection": "close"},
            ) from error
        if message["type"] == "http.disconnect":
            log.info("upload_aborted", received=received)
            raise Rejected(400, "incomplete_body", "the body ended before its end")
        body, more = message.get("body", b""), message.get("more_body", False)
        received += len(body)
        if received > limit.allowed + limit.overhead:
            raise limit.refusal(received)
        if body:
            yield body
