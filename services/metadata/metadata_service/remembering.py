"""Answers kept for a moment: many who ask the same at once cost as much as one."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Remembered"]

T = TypeVar("T")

#: Answers kept at most.
MOST = 256


class Remembered(Generic[T]):
    """Answers by question, each for `seconds`; an error is nobody's answer but the asker's."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._held: OrderedDict[Hashable, tuple[float, asyncio.Future[T]]] = OrderedDict()

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """Return the answer that is kept, or under way, or else ask."""
        held = self._held.get(key)
        if held is not None and held[0] > self._clock():
            return await asyncio.shield(held[1])
        # Whoever asked first may go away; the others still want the answer.
        asking = asyncio.ensure_future(ask())
        self._held[key] = (self._clock() + self._seconds, asking)
        self._held.move_to_end(key)
        while len(self._held) > MOST:
            self._held.popitem(last=False)
        try:
            return await asyncio.shield(asking)
        finally:
            if asking.done() and (asking.cancelled() or asking.exception() is not None):
                self._held.pop(key, None)
