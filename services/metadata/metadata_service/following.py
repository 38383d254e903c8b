"""Facts of some kinds, as every process reads them for itself: first all, then as they are said.

What a durable consumer brings goes to one of the replicas. What every replica keeps in memory it
reads from the log, pattern by pattern, each with a place of its own. Between patterns there is no
order: whoever takes the facts goes by their sequences.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from imagesystem import logs
from imagesystem.bus import Bus, Received
from imagesystem.errors import ImageSystemError
from imagesystem.events import Fact

from metadata_service.feeds.tail import Recent, Tail, stretches

__all__ = ["Following", "Take"]

log = logs.get(__name__)

#: Facts taken at once; vectors make them large.
BATCH = 1024
#: Between cancellations. One is not enough before Python 3.12: a `wait_for` in the client whose
#: answer arrives in the same moment returns that, and the cancellation is lost.
AGAIN_S = 0.5
#: Between looks when nothing rang, and after a look that failed.
LOOK_EVERY_S, FAILED_LOOK_S = 10.0, 1.0

#: Takes facts of one pattern, in the order of their sequences.
Take = Callable[[Sequence[Received[Fact]]], Awaitable[None]]


async def _at_once() -> None:
    pass


class Following:
    """Reads what is said on `patterns` (`images.v1.*.deleted`) and hands it to `take`.

    `places`: up to which sequence each pattern was read before. `settled` is called whenever
    everything that is there has been taken, `begin` before anything is read.
    """

    def __init__(
        self,
        bus: Bus,
        patterns: Sequence[str],
        take: Take,
        settled: Callable[[], Awaitable[None]],
        begin: Callable[[], Awaitable[None]] = _at_once,
    ) -> None:
        self._bus = bus
        self._take = take
        self._settled = settled
        self._begin = begin
        self._rung = asyncio.Event()
        self._endings = tuple(pattern.removeprefix("images.v1.*") for pattern in patterns)
        self.places = dict.fromkeys(patterns, 0)
        #: Until all that was said before the start is taken, and while it fails, one line.
        self.behind: str | None = "the log has not been read yet"
        self._broken: str | None = None

    def check(self) -> str | None:
        """Return one line while the log cannot be read, for `/health/ready`."""
        return self._broken

    def begin_at(self, places: Mapping[str, int]) -> None:
        """Begin behind these sequences; to be called before it runs."""
        self.places |= {name: place for name, place in places.items() if name in self.places}

    @asynccontextmanager
    async def running(self, tail: Tail) -> AsyncIterator[Following]:
        """Read on until the block is left."""
        tail.listen(self._hear)
        following = asyncio.create_task(self._follow(), name="following")
        try:
            yield self
        finally:
            while not following.done():
                following.cancel()
                await asyncio.wait({following}, timeout=AGAIN_S)

    def _hear(self, new: list[Recent]) -> None:
        if any(recent.subject.endswith(self._endings) for recent in new):
            self._rung.set()

    async def _follow(self) -> None:
        try:
            await self._begin()
        except Exception:  # all of it is in the log
            log.exception("beginning_failed")
        while True:
            self._rung.clear()
            try:
                for pattern in self.places:
                    await self._read(pattern)
                await self._settled()
                self.behind = self._broken = None
            except ImageSystemError as error:
                await self._failed(error.message)
                continue
            except Exception as error:  # what nobody foresaw must not end it for good
                log.exception("facts_not_followed")
                await self._failed(f"{type(error).__name__}: {error}")
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._rung.wait()

    async def _failed(self, why: str) -> None:
        if self._broken != why:
            log.warning("facts_not_followed", why=why)
        self.behind = self._broken = why
        await asyncio.sleep(FAILED_LOOK_S)

    async def _read(self, pattern: str) -> None:
        place = self.places[pattern]
        async with stretches(self._bus, after=place, batch=BATCH, pattern=pattern) as following:
            async for stretch in following:
                await self._take(stretch.facts)
                self.places[pattern] = stretch.last
