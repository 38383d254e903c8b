"""The open feeds of this process: each has a place in the log, none has a queue.

A feed takes what is new from the tail, which holds every event once for all. One that has fallen
behind the tail, or resumes from further back, reads the log until it has caught up; so nothing is
missed and nothing comes twice. Memory does not depend on how slow anybody is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from imagesystem import logs
from imagesystem.errors import ImageSystemError, Rejected
from prometheus_client import Gauge

from metadata_service.feeds.reading import Log, Reader
from metadata_service.feeds.selection import Selection
from metadata_service.feeds.tail import Recent

__all__ = ["Feed", "Hub"]

log = logs.get(__name__)

#: What a browser waits before it connects again, and what others are asked to wait.
RETRY_S = 3
#: Bytes of events handed over at once.
CHUNK_BYTES = 64 * 1024
FAILED_READ_S = 1.0


class Hub:
    """Opens feeds, wakes them, and closes them all when the service stops."""

    def __init__(self, log: Log, *, most: int, keep_alive_s: float, open_feeds: Gauge) -> None:
        self.keep_alive_s = keep_alive_s
        self.closing = False
        self._log = log
        self._most = most
        self._open_feeds = open_feeds
        self._feeds: set[Feed] = set()
        log.tail.listen(self._told)

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
        now = self._log.tail.begun()
        # A place that is yet to come is one in another log: there is nothing to catch up with.
        place = now if after is None else min(after, now)
        feed = Feed(self, Reader(self._log, selection, place))
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
        for feed in self._feeds:
            feed.told(new)


class Feed:
    """One reader and what is sent to it."""

    def __init__(self, hub: Hub, reader: Reader) -> None:
        self.bell = asyncio.Event()
        self._hub = hub
        self._reader = reader
        self._idle = False

    @property
    def place(self) -> int:
        """The sequence up to which everything wanted was sent."""
        return self._reader.place

    def told(self, new: list[Recent]) -> None:
        """Wake up if there is something in it; else the place moves on, if nothing is left."""
        if any(self._reader.wants(recent) for recent in new):
            self.bell.set()
        elif self._idle and not self.bell.is_set():
            self._reader.place = new[-1].sequence

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Yield the lines of the feed (text/event-stream), until the service stops.

        A line `id` without `data` is no event to a browser, but it is where it resumes from.
        """
        yield b"retry: %d\nid: %d\n\n" % (RETRY_S * 1000, self.place)
        while not self._hub.closing:
            self.bell.clear()
            try:
                found = await self._reader.next(CHUNK_BYTES)
            except ImageSystemError as error:
                log.warning("feed_waits", error=error.message)
                await asyncio.sleep(FAILED_READ_S)
                yield b": waiting\n\n"
                continue
            if found:
                yield b"".join(
                    b"id: %d\ndata: %s\n\n" % (recent.sequence, recent.json) for recent in found
                )
            elif self._reader.at_end and not await self._woken():
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
