"""Reading on from a place in the log: from the newest facts if they reach back that far."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from imagesystem.bus import Bus
from imagesystem.bus.tailing import Doorbell

from metadata_service.feeds.owners import Owners
from metadata_service.feeds.selection import Selection
from metadata_service.feeds.tail import Recent, Tail, recent_of, stretches

__all__ = ["Log", "Reader", "open_log"]

#: Facts read from the log at once, and how many read it at once: many may come back together.
PAGE = 32
READING = 8


class Log:
    """What all readers of this process share."""

    def __init__(self, bus: Bus, tail: Tail) -> None:
        self.bus = bus
        self.tail = tail
        self.owners = Owners(bus)
        self.reading = asyncio.Semaphore(READING)
        tail.listen(self._learn)

    def _learn(self, new: list[Recent]) -> None:
        for recent in new:
            if recent.owner is not None:
                self.owners.learn(recent.image_id, recent.owner)


@asynccontextmanager
async def open_log(bus: Bus, doorbell: Doorbell) -> AsyncIterator[Log]:
    """Follow the log until the block is left; yields what readers share."""
    async with Tail(bus, doorbell).running() as tail:
        yield Log(bus, tail)


class Reader:
    """Somebody's place in the log: the sequence up to which `next` has returned everything."""

    def __init__(self, log: Log, selection: Selection, place: int) -> None:
        self.place = place
        self._log = log
        self._selection = selection

    @property
    def at_end(self) -> bool:
        """Whether nothing is left for now."""
        return self.place >= self._log.tail.begun()

    def wants(self, recent: Recent) -> bool:
        """Return whether it is wanted, whoever owns the image."""
        return self._selection.wants(recent.subject)

    async def next(self, max_bytes: int, most: int = PAGE * 32) -> list[Recent]:
        """Return what is wanted of what comes next, up to `most`, and move on; empty: nothing was.

        What is further back than the tail remembers comes from the log, where only the latest
        state of each subject is left.
        """
        if self.place < self._log.tail.floor:
            return await self._from_log(min(PAGE, most))
        found = self._log.tail.since(self.place, max_bytes, most)
        wanted = await self._wanted(found)
        if found:
            self.place = found[-1].sequence
        else:
            # What nobody can read is passed over, and is not among the newest.
            self.place = max(self.place, self._log.tail.begun())
        return wanted

    async def _from_log(self, most: int) -> list[Recent]:
        log, known = self._log, self._log.tail.begun()
        async with (
            log.reading,
            stretches(
                log.bus, pattern=self._selection.pattern, after=self.place, batch=most
            ) as pages,
        ):
            page = await anext(pages, None)
        if page is None:  # to the end, as the leader knows it: beyond all that the tail has read
            self.place = max(self.place, known)
            return []
        wanted = await self._wanted([recent_of(fact) for fact in page.facts])
        self.place = page.last
        return wanted

    async def _wanted(self, found: list[Recent]) -> list[Recent]:
        wanted = [recent for recent in found if self.wants(recent)]
        owner = self._selection.owner
        if owner is None:
            return wanted
        return [recent for recent in wanted if await self._log.owners.of(recent.image_id) == owner]
