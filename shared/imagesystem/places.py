"""Places for those who ask and wait: so many at a time, and so many bytes of pictures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from imagesystem.objects.credit import Credit

__all__ = ["Allowance", "Places"]


class Places:
    """So many `places`, first come, first served; `most_waiting` may wait for one.

    What comes then is turned away: `refused` returns the error that says so.
    """

    def __init__(self, places: int, most_waiting: int, refused: Callable[[], Exception]) -> None:
        self._places = asyncio.Semaphore(places)
        self._most_waiting = most_waiting
        self._refused = refused
        self.waiting = 0

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for a place and have it; raises what `refused` returns when too many wait."""
        if self.waiting >= self._most_waiting:
            raise self._refused()
        self.waiting += 1
        try:
            await self._places.acquire()
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._places.release()


class Allowance:
    """So many bytes at a time, first come, first served.

    Whatever is larger than all of it is let in alone.
    """

    def __init__(self, limit: int) -> None:
        self._credit = Credit(limit)

    @property
    def free(self) -> int:
        """Bytes that nobody has."""
        return self._credit.free

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Wait for `size` bytes and have them."""
        turn = self._credit.take(size)
        if turn is not None:
            try:
                await turn
            except BaseException:
                self._credit.withdraw(turn, size)
                raise
        try:
            yield
        finally:
            self._credit.give(size)
