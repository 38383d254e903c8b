"""How originals and renditions go out over HTTP: headers, 304, ranges, streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from datetime import datetime
from typing import Any, TypeAlias, cast

import msgspec
from imagesystem import logs
from imagesystem.errors import ImageSystemError
from litestar import Request
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Send

from image_service.conditions import decide, http_date, requested_range
from image_service.filenames import disposition

__all__ = ["VALIDATORS", "Representation", "Streamed", "answer", "fields_of", "unchanged"]

log = logs.get(__name__)

#: Returns the bytes from a first to before a last, in pieces; raises before the first piece.
Open: TypeAlias = Callable[[int, int], Awaitable[AsyncIterator[bytes]]]


#: The headers that a 304 has as well.
VALIDATORS = ("etag", "last-modified", "cache-control", "vary")


class Representation(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer is of. `etag` is strong and quoted; `negotiated`: `Accept` mattered."""

    etag: str
    media_type: str
    filename: str
    modified_at: datetime
    cache_control: str
    negotiated: bool = False
    cache_status: str | None = None

    def with_cache_status(self, where: str) -> Representation:
        """Return it with where the cache had the rendition (RFC 9211); empty: nowhere."""
        status = f"renditions; hit; detail={where}" if where else "renditions; fwd=miss"
        return msgspec.structs.replace(self, cache_status=status)

    def validators(self) -> dict[str, str]:
        """Return the headers called `VALIDATORS`."""
        headers = {
            "etag": self.etag,
            "last-modified": http_date(self.modified_at),
            "cache-control": self.cache_control,
        }
        return {**headers, "vary": "accept"} if self.negotiated else headers

    def described(self) -> dict[str, str]:
        """Return all headers that do not depend on which bytes are sent."""
        headers = {
            **self.validators(),
            "content-type": self.media_type,
            "content-disposition": disposition(self.filename),
            "accept-ranges": "bytes",
            "x-content-type-options": "nosniff",
        }
        return {**headers, "cache-status": self.cache_status} if self.cache_status else headers


def unchanged(
    request: Request[Any, Any, Any], representation: Representation
) -> ASGIResponse | None:
    """Return a 304 if the client has what it asks for; raises `Rejected` 412."""
    fields = fields_of(request.scope["headers"])
    verdict = decide(fields, representation.etag, representation.modified_at)
    if verdict == "send":
        return None
    return ASGIResponse(status_code=304, headers=representation.validators())


async def answer(
    request: Request[Any, Any, Any], representation: Representation, size: int, open_: Open
) -> ASGIResponse:
    """Return 200 or 206 with the bytes asked for, headers alone for HEAD.

    Raises `Rejected` 416 and whatever `open_` raises.
    """
    headers = representation.described()
    if request.method == "HEAD":
        # Ranges are for GET; a HEAD answers what a GET without one would.
        return ASGIResponse(headers={**headers, "content-length": str(size)}, is_head_response=True)
    fields = fields_of(request.scope["headers"])
    span = requested_range(fields, size, representation.etag, representation.modified_at)
    start, stop = span or (0, size)
    headers["content-length"] = str(stop - start)
    if span is not None:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
    return Streamed(
        await open_(start, stop), headers=headers, status_code=200 if span is None else 206
    )


def fields_of(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by lower-case name; repeated ones joined, as lists are."""
    fields: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


class Streamed(ASGIResponse):
    """Pieces as they come, each when the one before is on its way.

    When the source fails in the middle, the connection is closed without the rest: the client
    sees fewer bytes than `Content-Length` said. When the client leaves, the reading ends.
    """

    __slots__ = ("_pieces",)

    def __init__(
        self, pieces: AsyncIterator[bytes], *, headers: dict[str, str], status_code: int
    ) -> None:
        super().__init__(
            headers=headers, status_code=status_code, media_type=headers["content-type"]
        )
        self._pieces = pieces

    async def send_body(self, send: Send, receive: Receive) -> None:
        """Send the pieces, the last one not before the source has ended well.

        (A source verifies its digest at the end: an answer that is complete is right.)
        """
        held: bytes | None = None
        gone: asyncio.Task[None] | None = None
        try:
            async with aclosing(cast("Any", self._pieces)):
                async for piece in self._pieces:
                    if held is not None:
                        gone = gone or asyncio.create_task(_disconnected(receive))
                        await send({"type": "http.response.body", "body": held, "more_body": True})
                        if gone.done():
                            return
                    held = piece
            await send({"type": "http.response.body", "body": held or b"", "more_body": False})
        except ImageSystemError as error:
            log.warning("answer_cut_short", code=error.code, error=error.message)
        finally:
            if gone is not None:
                gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
