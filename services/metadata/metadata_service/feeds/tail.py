"""The newest facts, read once for everybody in this process, and kept for a while.

Readers keep a place of their own: the sequence of the last fact they have seen. What is newer than
`floor` is here; what is older is in the log. So a reader who is slow costs no memory, and one who
comes back after a moment costs nothing at all.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from typing import Any

import msgspec
from imagesystem import logs
from imagesystem.bus import Bus, Received, Stretch
from imagesystem.bus.tailing import Doorbell
from imagesystem.errors import ImageSystemError, Unavailable
from imagesystem.events import Uploaded

from metadata_service.feeds.cloudevents import event_id, structured

__all__ = ["Listener", "Recent", "Tail", "recent_of", "stretches"]

log = logs.get(__name__)

#: Bytes of facts that are kept for readers.
RECENT_BYTES = 8 * 1024 * 1024
#: Between looks after the bell rang: it may ring before the log has what was said. The longest is
#: how late a fact may be of which the bell told nothing, as after a reconnect.
FIRST_LOOK_S, LONGEST_LOOK_S = 0.002, 2.0
BATCH = 256
FAILED_LOOK_S = 1.0

#: Called with what is new, in the order of sequences.
Listener = Callable[[list["Recent"]], None]


def stretches(
    bus: Bus, *, after: int, batch: int, pattern: str = "images.v1.>"
) -> AbstractAsyncContextManager[AsyncGenerator[Stretch, None]]:
    """Return `Bus.history`, which is closed at once when the context is left early."""
    return aclosing(bus.history(pattern, after=after, batch=batch))


class Recent(msgspec.Struct, frozen=True, kw_only=True):
    """A fact among the newest; `json` is the whole CloudEvent, `owner` told by `uploaded` alone.

    What is decoded takes several times as much memory, and is not kept.
    """

    sequence: int
    event_id: str
    subject: str
    json: bytes
    owner: str | None = None

    @property
    def image_id(self) -> str:
        """The image that it is about."""
        return self.subject.split(".")[2]


def recent_of(fact: Received[Any]) -> Recent:
    """Return a fact as it is kept."""
    return Recent(
        sequence=fact.sequence,
        event_id=event_id(fact),
        subject=fact.subject,
        json=structured(fact),
        owner=fact.event.owner if isinstance(fact.event, Uploaded) else None,
    )


class Tail:
    """Follows the log; `position` is the sequence up to which it has read, None before it began."""

    def __init__(self, bus: Bus, doorbell: Doorbell, *, keep_bytes: int = RECENT_BYTES) -> None:
        self._bus = bus
        self._doorbell = doorbell
        self._keep_bytes = keep_bytes
        self._recent: list[Recent] = []
        self._bytes = 0
        self._rung = asyncio.Event()
        self._listeners: list[Listener] = []
        self.position: int | None = None
        self.floor = 0
        self.broken: str | None = "the event log has not been read yet"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Tail]:
        """Follow the log until the block is left."""
        async with self._doorbell.ringing(self._rung.set):
            following = asyncio.create_task(self._follow(), name="tail")
            try:
                yield self
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of everything that is new from now on."""
        self._listeners.append(listener)

    def begun(self) -> int:
        """Return the position; raises `Unavailable` before the log was ever read."""
        if self.position is None:
            raise Unavailable("nats", self.broken or "")
        return self.position

    def since(self, sequence: int, max_bytes: int, most: int) -> list[Recent]:
        """Return up to `most` facts after `sequence`, at least one if there is any.

        `sequence` must not be below `floor`.
        """
        start = bisect_right(self._recent, sequence, key=lambda recent: recent.sequence)
        taken, size = start, 0
        end = min(len(self._recent), start + most)
        while taken < end and (taken == start or size < max_bytes):
            size += len(self._recent[taken].json)
            taken += 1
        return self._recent[start:taken]

    async def _follow(self) -> None:
        pause = FIRST_LOOK_S
        while True:
            if self._rung.is_set():
                pause = FIRST_LOOK_S
                self._rung.clear()
            try:
                await self._read()
                self.broken = None
            except ImageSystemError as error:
                if self.broken != error.message:
                    log.warning("log_not_read", error=error.message)
                self.broken = error.message
                await asyncio.sleep(FAILED_LOOK_S)
                continue
            except Exception as error:  # what nobody foresaw must not end the feed for good
                log.exception("log_not_read")
                self.broken = f"the event log cannot be read: {type(error).__name__}"
                await asyncio.sleep(FAILED_LOOK_S)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._rung.wait()
            pause = min(pause * 2, LONGEST_LOOK_S)

    async def _read(self) -> None:
        if self.position is None:
            self.position = self.floor = await self._bus.head()
            return
        async with stretches(self._bus, after=self.position, batch=BATCH) as following:
            async for stretch in following:
                self._take(stretch.facts)
                self.position = stretch.last

    def _take(self, facts: list[Received[Any]]) -> None:
        new = [recent_of(fact) for fact in facts]
        self._recent += new
        self._bytes += sum(len(recent.json) for recent in new)
        self._forget()
        if new:
            self.position = new[-1].sequence
            for listener in self._listeners:
                listener(new)

    def _forget(self) -> None:
        """Let the oldest go once there is a quarter too much: it moves all that stay."""
        if self._bytes <= self._keep_bytes * 5 // 4:
            return
        gone = 0
        while self._bytes > self._keep_bytes and gone < len(self._recent):
            self._bytes -= len(self._recent[gone].json)
            gone += 1
        self.floor = self._recent[gone - 1].sequence
        del self._recent[:gone]
