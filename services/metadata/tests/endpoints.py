"""An HTTP endpoint that tests point webhooks at: it remembers, and answers as it is told to."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec


class Request(msgspec.Struct, kw_only=True):
    """What came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)  # type: ignore[no-any-return]


class Reply(msgspec.Struct, kw_only=True):
    """What is answered; `hangs`: nothing is, for as long as the caller waits."""

    status: int = 204
    headers: dict[str, str] = {}
    body: bytes = b""
    hangs: bool = False


class Endpoint:
    """`reply` decides on the answer; `events` are those that are no pings."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.reply: Callable[[Request], Reply] = lambda _: Reply()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def events(self) -> list[dict[str, Any]]:
        events = [request.event for request in self.requests]
        return [event for event in events if event["type"] != "webhooks.v1.ping"]

    async def until(self, condition: Callable[[], object]) -> None:
        """Return once the condition holds."""
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")[:-2]
            pairs = (line.partition(": ") for line in lines)
            headers = {name.lower(): value for name, _, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            request = Request(path=first.split(" ")[1], headers=headers, body=body)
            self.requests.append(request)
            reply = self.reply(request)
            if reply.hangs:
                await reader.read()
                return
            more = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
            writer.write(
                f"HTTP/1.1 {reply.status} X\r\n{more}content-length: {len(reply.body)}\r\n"
                "connection: close\r\n\r\n".encode()
                + reply.body
            )
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # it went away, as clients do
        finally:
            writer.close()


@asynccontextmanager
async def endpoint(certificate: ssl.SSLContext | None = None) -> AsyncIterator[Endpoint]:
    """Listen on a free port, with a certificate by HTTPS."""
    listening = Endpoint()
    server = await asyncio.start_server(listening._serve, "127.0.0.1", 0, ssl=certificate)
    listening.port = server.sockets[0].getsockname()[1]
    try:
        yield listening
    finally:
        server.close()
