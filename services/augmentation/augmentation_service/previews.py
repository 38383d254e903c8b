"""Making a variant now: bounded places, one worker process for each picture at a time."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias, TypeVar

from imagesystem import logs
from imagesystem.errors import Rejected, Transient
from imagesystem.workers import WorkerDied, WorkerPool

from augmentation_service.measures import Measures
from augmentation_service.rendering import Job

__all__ = ["Previews", "Read"]

J = TypeVar("J")
R = TypeVar("R")

log = logs.get(__name__)

#: Returns the bytes of the picture; called when there is a place for them.
Read: TypeAlias = Callable[[], Awaitable[bytes]]


class _Poison:
    """Digests of pictures that killed a worker lately: they are not tried at every request."""

    LIFETIME_S = 300.0
    MOST = 1024

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()

    def add(self, source: str) -> None:
        self._until[source] = time.monotonic() + self.LIFETIME_S
        self._until.move_to_end(source)
        while len(self._until) > self.MOST:
            self._until.popitem(last=False)

    def __contains__(self, source: str) -> bool:
        return self._until.get(source, 0.0) > time.monotonic()


class Previews:
    """Makes variants while the client waits.

    `max_waiting` may wait for a worker; what comes then is turned away.
    """

    def __init__(
        self, pool: WorkerPool, measures: Measures, *, max_waiting: int, deadline_s: float
    ) -> None:
        self._pool = pool
        self._measures = measures
        self._max_waiting = max_waiting
        self._deadline_s = deadline_s
        # One more than work: the next picture is read while the workers are busy.
        self._places = asyncio.Semaphore(pool.size + 1)
        self._waiting = 0
        self._poison = _Poison()

    async def make(self, function: Callable[[bytes, J], R], read: Read, asked: J, about: Job) -> R:
        """Return what `function(bytes, asked)` makes in a worker; `about` says of which picture.

        Raises what `function` and `read` raise; `Rejected` 422 `unprocessable_picture` (it kills
        its worker); `Transient`: `too_busy`, `deadline_exceeded`.
        """
        outcome = "failed"
        try:
            if about.source in self._poison:
                raise _unprocessable()
            async with self._place():
                made = await self._made(function, await read(), asked, about)
            outcome = "made"
        except Rejected:
            outcome = "refused"
            raise
        except Transient as error:
            outcome = "busy" if error.code == "too_busy" else "failed"
            raise
        finally:
            self._measures.previews.labels(outcome).inc()
        return made

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._waiting >= self._max_waiting:
            raise Transient("too many previews are waiting for a worker", code="too_busy")
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()

    async def _made(
        self, function: Callable[[bytes, J], R], data: bytes, asked: J, about: Job
    ) -> R:
        started = time.perf_counter()
        try:
            made = await self._twice(function, data, asked)
        except WorkerDied as error:
            log.warning("unprocessable_picture", source=about.source)
            self._poison.add(about.source)
            raise _unprocessable() from error
        self._measures.preview_seconds.labels(about.format).observe(time.perf_counter() - started)
        return made

    async def _twice(self, function: Callable[[bytes, J], R], data: bytes, asked: J) -> R:
        try:
            return await self._once(function, data, asked)
        except WorkerDied:
            # A first death may be somebody else's doing (out of memory); a second is its own.
            return await self._once(function, data, asked)

    async def _once(self, function: Callable[[bytes, J], R], data: bytes, asked: J) -> R:
        return await self._pool.run(
            function, data, asked, deadline_s=self._deadline_s, called="augment"
        )


def _unprocessable() -> Rejected:
    return Rejected(
        422, "unprocessable_picture", "the picture cannot be processed: its worker process dies"
    )
