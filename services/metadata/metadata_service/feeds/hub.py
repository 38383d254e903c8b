"""The open feeds of this process: each has a place in the log, none has a queue.

A feed takes what is new from the tail, which holds every event once for all. One that has fallen
behind the tail, or resumes from further back, reads the log until it has caught up; so nothing is
missed and nothing comes twice. Memory does not depend on how slow anybody is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from imagesystem import logs
from imagesystem.bus import Bus
from imagesystem.errors import ImageSystemError, Rejected
from prometheus_client import Gauge

from metadata_service.feeds.cloudevents import structured
from metadata_service.feeds.owners import Owners
from metadata_service.feeds.selection import Selection
from metadata_service.feeds.tail import Recent, Tail, stretches

__all__ = ["Feed", "Hub"]

log = logs.get(__name__)

#: What a browser waits before it connects again, and what others are asked to wait.
RETRY_S = 3
#: Bytes of events handed over at once, and facts read from the log at once.
CHUNK_BYTES = 64 * 1024
PAGE = 32
FAILED_READ_S = 1.0


class Hub:
    """Opens feeds, wakes them, and closes them all when the service stops."""

    def __init__(
        self, bus: Bus, tail: Tail, *, most: int, keep_alive_s: float, open_feeds: Gauge
    ) -> None:
        self.bus = bus
        self.tail = tail
        self.owners = Owners(bus)
        self.keep_alive_s = keep_alive_s
        self.closing = False
        self._most = most
        self._open_feeds = open_feeds
        self._feeds: set[Feed] = set()
        #: Reads of the log at once: many may come back at the same moment.
        self.reading = asyncio.Semaphore(8)
        tail.listen(self._told)

    def open(self, selection: Selection, after: int | None) -> Feed:
        """Return a feed of what comes after a sequence, or from now on.

        Raises `Rejected` 503 `too_many_feeds`, and `Unavailable` before the log was ever read.
        """
        if self.closing or len(self._feeds) >= self._most:
            raise Rejected(
                503,
                "too_many_feeds",
                "the service is stopping" if self.closing else "no more feeds can be opened here",
                limit="FEEDS_MAX",
                allowed=self._most,
                actual=len(self._feeds),
                headers={"retry-after": str(RETRY_S)},
            )
        now = self.tail.begun()
        # A place that is yet to come is one in another log: there is nothing to catch up with.
        feed = Feed(self, selection, now if after is None else min(after, now))
        self._feeds.add(feed)
        self._open_feeds.set(len(self._feeds))
        return feed

    def leave(self, feed: Feed) -> None:
        """Forget a feed that has ended."""
        self._feeds.discard(feed)
        self._open_feeds.set(len(self._feeds))

    def close(self) -> None:
        """End all feeds, at once: they are told, and come back to whoever answers then."""
        self.closing = True
        for feed in self._feeds:
            feed.bell.set()

    def _told(self, new: list[Recent]) -> None:
        for recent in new:
            if recent.owner is not None:
                self.owners.learn(recent.subject.split(".")[2], recent.owner)
        for feed in self._feeds:
            feed.told(new)


class Feed:
    """One reader: what it wants, and how far it has come (`place`, a sequence)."""

    def __init__(self, hub: Hub, selection: Selection, place: int) -> None:
        self.bell = asyncio.Event()
        self.place = place
        self._hub = hub
        self._selection = selection
        self._idle = False

    def told(self, new: list[Recent]) -> None:
        """Wake up if there is something in it; else the place moves on, if nothing is left."""
        if any(self._selection.wants(recent.subject) for recent in new):
            self.bell.set()
        elif self._idle and not self.bell.is_set():
            self.place = new[-1].sequence

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Yield the lines of the feed (text/event-stream), until the service stops.

        A line `id` without `data` is no event to a browser, but it is where it resumes from.
        """
        yield b"retry: %d\nid: %d\n\n" % (RETRY_S * 1000, self.place)
        while not self._hub.closing:
            self.bell.clear()
            try:
                chunk = await self._next()
            except ImageSystemError as error:
                log.warning("feed_waits", error=error.message)
                await asyncio.sleep(FAILED_READ_S)
                yield b": waiting\n\n"
                continue
            if chunk:
                yield chunk
            elif self.place >= self._hub.tail.begun() and not await self._woken():
                yield b": keep-alive\nid: %d\n\n" % self.place
        yield b": the service is stopping, connect again\n\n"

    def close(self) -> None:
        """Give the feed's place among those that are open to somebody else."""
        self._hub.leave(self)

    async def _woken(self) -> bool:
        """Wait for something that is wanted; return whether that came in time."""
        self._idle = True
        try:
            async with asyncio.timeout(self._hub.keep_alive_s):
                await self.bell.wait()
        except TimeoutError:
            return False
        finally:
            self._idle = False
        return True

    async def _next(self) -> bytes:
        """Return what is wanted of what comes next, and move on; empty: nothing of it was."""
        if self.place < self._hub.tail.floor:
            return await self._from_log()
        recent = self._hub.tail.since(self.place, CHUNK_BYTES)
        wanted = [item for item in recent if await self._wants(item.subject)]
        if recent:
            self.place = recent[-1].sequence
        else:
            # What nobody can read is passed over, and has no place among the recent.
            self.place = max(self.place, self._hub.tail.begun())
        return b"".join(_frame(item.sequence, item.json) for item in wanted)

    async def _from_log(self) -> bytes:
        """Read one page of the log: its latest states; superseded ones are not there any more."""
        hub, known = self._hub, self._hub.tail.begun()
        async with hub.reading:
            pattern = self._selection.pattern
            async with stretches(hub.bus, pattern=pattern, after=self.place, batch=PAGE) as pages:
                page = await anext(pages, None)
        if page is None:  # to the end, as the leader knows it: beyond all that the tail has read
            self.place = max(self.place, known)
            return b""
        wanted = [fact for fact in page.facts if await self._wants(fact.subject)]
        self.place = page.last
        return b"".join(_frame(fact.sequence, structured(fact)) for fact in wanted)

    async def _wants(self, subject: str) -> bool:
        if not self._selection.wants(subject):
            return False
        if self._selection.owner is None:
            return True
        return await self._hub.owners.of(subject.split(".")[2]) == self._selection.owner


def _frame(sequence: int, json: bytes) -> bytes:
    return b"id: %d\ndata: %s\n\n" % (sequence, json)
