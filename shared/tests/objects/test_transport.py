"""What the NATS client writes to and reads from, on the event loop that services run on."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest
import uvloop
from imagesystem.objects.transport import Wire


async def _write_after_the_end() -> None:
    ended = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        wire = Wire()
        await wire.connect(urlsplit(f"nats://127.0.0.1:{port}"), 65_536, 5)
        await ended.wait()
        assert await wire.read(0) == b""
        await wire.wait_closed()
        with pytest.raises(ConnectionResetError):
            wire.write(b"PING\r\n")
        with pytest.raises(ConnectionResetError):
            wire.writelines([b"PING", b"\r\n"])


def test_a_connection_that_is_gone_is_an_outage() -> None:
    uvloop.run(_write_after_the_end())
