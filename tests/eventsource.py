"""A reader of server-sent events that behaves as a browser's `EventSource` does.

It remembers the last id, also one that came without data, and connects again with it whenever the
connection ends (WHATWG HTML, section 9.2).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

PATIENCE_S = 60.0


class EventSource:
    """Yields events, decoded; `last_id` is where it would resume."""

    def __init__(self, http: httpx.AsyncClient, path: str, last_id: str = "") -> None:
        self._http = http
        self._path = path
        self.last_id = last_id
        self.retry_ms = 0
        self.connections = 0
        self.comments: list[str] = []
        self.headers = httpx.Headers()
        self.opened = asyncio.Event()

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Yield events for ever."""
        while True:
            try:
                async for event in self._connected():
                    yield event
            except httpx.TransportError:
                pass  # as when the server was killed
            await asyncio.sleep(0.1)  # a browser would wait `retry_ms`

    async def take(self, count: int) -> list[dict[str, Any]]:
        """Return the next `count` events."""
        taken: list[dict[str, Any]] = []
        async with asyncio.timeout(PATIENCE_S):
            async for event in self.events():
                taken.append(event)
                if len(taken) == count:
                    break
        return taken

    async def _connected(self) -> AsyncIterator[dict[str, Any]]:
        headers = {"accept": "text/event-stream"}
        if self.last_id:
            headers["last-event-id"] = self.last_id
        async with self._http.stream("GET", self._path, headers=headers, timeout=None) as answer:
            if answer.status_code != 200:
                return
            assert answer.headers["content-type"].startswith("text/event-stream")
            self.headers = answer.headers
            self.connections += 1
            last_id, data = self.last_id, []
            async for line in answer.aiter_lines():
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if not line:
                    self.last_id = last_id
                    self.opened.set()
                    if data:
                        yield json.loads("\n".join(data))
                    data = []
                elif not name:
                    self.comments.append(value)
                elif name == "id":
                    last_id = value
                elif name == "data":
                    data.append(value)
                elif name == "retry":
                    self.retry_ms = int(value)
