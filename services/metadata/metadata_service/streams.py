"""Answers that are streamed, and that end when whoever reads them does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, cast

from imagesystem import logs
from litestar.response import Stream
from litestar.response.base import ASGIResponse
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import Receive, Send

__all__ = ["EndingStream"]

log = logs.get(__name__)

#: A reader who takes nothing for so long is dropped.
STALLED_S = 30.0


class EndingStream(Stream):
    """Pieces as they come. However the answer ends, `end` is awaited, once the pieces are closed.

    (Litestar leaves a generator that is not read to its end to the garbage collector.)
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        end: Callable[[], Awaitable[None]],
        *,
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(pieces, media_type=media_type, headers=dict(headers))
        self._end = end

    def to_asgi_response(self, app: Any, request: Any, **more: Any) -> ASGIResponse:
        """Return the answer that Litestar would make, which closes what it was made from."""
        made = cast("ASGIStreamingResponse", super().to_asgi_response(app, request, **more))
        pieces = cast("AsyncGenerator[bytes, None]", made.iterator)
        return _EndingResponse(made, pieces, self._end)


class _EndingResponse(ASGIResponse):
    """The same answer; drops a reader who takes nothing."""

    __slots__ = ("_end", "_made", "_pieces")

    def __init__(
        self,
        made: ASGIStreamingResponse,
        pieces: AsyncGenerator[bytes, None],
        end: Callable[[], Awaitable[None]],
    ) -> None:
        self._made, self._pieces, self._end = made, pieces, end

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        async def sending(message: Any) -> None:
            async with asyncio.timeout(STALLED_S):
                await send(message)

        try:
            await self._made(scope, receive, sending)
        except* TimeoutError:
            log.info("reader_stalled", path=scope.get("path"))
        finally:
            try:
                await self._pieces.aclose()
            finally:
                await self._end()
