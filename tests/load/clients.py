"""A client for benchmarks: GETs on kept connections, what a lean client costs and no more."""

from __future__ import annotations

import asyncio

__all__ = ["Client"]


class Client:
    """Connections to one port of this machine; made when needed, and kept."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self, path: str) -> bytes:
        """Return the body; raises `RuntimeError` unless the status is 200."""
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 22)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = head.partition("content-length:")[2].partition("\r\n")[0]
        body = await reader.readexactly(int(length)) if length else await _chunked(reader)
        if "connection: close" in head:
            writer.close()
        else:
            self._idle.append((reader, writer))
        if head.split(" ", 2)[1] != "200":
            raise RuntimeError(f"{path}: {head[:80]} {body[:300]!r}")
        return body

    def close(self) -> None:
        """Close all connections."""
        for _, writer in self._idle:
            writer.close()


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    while size := int((await reader.readline()).strip(), 16):
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(pieces)
