"""A TCP connection that hands on what it receives as it came, without a buffer of its own.

nats-py's moves every byte through two buffers in pieces of 32 KiB.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import cast
from urllib.parse import ParseResult

from nats.aio.transport import Transport

__all__ = ["Wire"]

#: Bytes received and not yet parsed at which the socket is left alone for a while.
UNREAD_BYTES = 1024**2
#: Seconds that a closing connection may take to send what is left.
CLOSE_S = 2.0


class Wire(asyncio.Protocol, Transport):
    """nats-py's `Transport` on a plain asyncio protocol; may be connected again and again."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received: deque[bytes] = deque()
        self._unread = 0
        self._paused = False
        self._ended = True
        self._error: Exception | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._closed: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing of an earlier connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._received.clear()
        self._unread, self._paused, self._ended = 0, False, False
        self._error = self._room = None
        self._closed = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        """Keep what came until it is read."""
        self._received.append(data)
        self._unread += len(data)
        if self._unread > UNREAD_BYTES and not self._paused:
            self._paused = True
            self._alive().pause_reading()
        _wake(self._arrival)

    def eof_received(self) -> None:
        """Let the connection close."""
        self._ended = True
        _wake(self._arrival)

    def connection_lost(self, error: Exception | None) -> None:
        """Wake whoever waits for the connection."""
        self._ended, self._error = True, error
        for waiting in (self._arrival, self._room, self._closed):
            _wake(waiting)

    def pause_writing(self) -> None:
        """Have `drain` wait."""
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Have `drain` go on."""
        _wake(self._room)

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        """Connect; raises `OSError`, `TimeoutError` among them."""
        host, port = uri.hostname or "127.0.0.1", uri.port or 4222
        async with asyncio.timeout(connect_timeout):
            await asyncio.get_running_loop().create_connection(lambda: self, host, port)

    async def connect_tls(
        self,
        uri: str | ParseResult,
        ssl_context: ssl.SSLContext,
        buffer_size: int,
        connect_timeout: int,
    ) -> None:
        """Go on in TLS."""
        host = uri if isinstance(uri, str) else uri.hostname
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(connect_timeout):
            self._transport = await loop.start_tls(
                self._alive(), self, ssl_context, server_hostname=host
            )

    async def read(self, buffer_size: int) -> bytes:
        """Return what came, in whatever size; empty at the end."""
        while not self._received:
            if self._error is not None:
                raise ConnectionResetError(str(self._error)) from self._error
            if self._ended:
                return b""
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival
        data = self._received.popleft()
        self._unread -= len(data)
        if self._paused and self._unread <= UNREAD_BYTES:
            self._paused = False
            if not self._ended:
                self._alive().resume_reading()
        return data

    async def readline(self) -> bytes:
        """Return a line with its end; less at the end of everything."""
        line = b""
        while not line.endswith(b"\n"):
            data = await self.read(0)
            if not data:
                break
            head, end, rest = data.partition(b"\n")
            line += head + end
            if rest:
                self._received.appendleft(rest)
                self._unread += len(rest)
        return line

    def write(self, payload: bytes) -> None:
        """Queue bytes; raises `ConnectionResetError` when there is no connection."""
        self.writelines([payload])

    def writelines(self, payload: list[bytes]) -> None:
        """Queue many pieces; raises as `write` does."""
        try:
            self._alive().writelines(payload)
        except RuntimeError as error:
            # uvloop's word for a socket that is closed; it reached callers as a fault of ours
            raise ConnectionResetError(str(error)) from error

    async def drain(self) -> None:
        """Wait until there is room to write."""
        if self._error is not None:
            raise ConnectionResetError(str(self._error)) from self._error
        if self._room is not None and not self._room.done():
            await asyncio.wait({self._room})

    async def wait_closed(self) -> None:
        """Wait until the connection is closed, but not for a peer that takes nothing more."""
        if self._closed is None or self._transport is None:
            return
        await asyncio.wait({self._closed}, timeout=CLOSE_S)
        self._transport.abort()

    def close(self) -> None:
        """Close the connection once what was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def at_eof(self) -> bool:
        """Tell whether everything has been read."""
        return self._ended and not self._received

    def __bool__(self) -> bool:
        return True

    def _alive(self) -> asyncio.Transport:
        if self._transport is None:
            raise ConnectionResetError("not connected")
        return self._transport


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)
