"""Making a variant now: bounded places, one worker process for each picture at a time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from imagesystem.errors import Rejected, Transient
from imagesystem.places import Places
from imagesystem.poison import Poison
from imagesystem.workers import WorkerPool

from augmentation_service.measures import Measures
from augmentation_service.rendering import Job

__all__ = ["Previews", "Read"]

J = TypeVar("J")
R = TypeVar("R")

#: Returns the bytes of the picture; called when there is a place for them.
Read: TypeAlias = Callable[[], Awaitable[bytes]]


class Previews:
    """Makes variants while the client waits.

    `max_waiting` may wait for a worker; what comes then is turned away.
    """

    def __init__(
        self, pool: WorkerPool, measures: Measures, *, max_waiting: int, deadline_s: float
    ) -> None:
        self._pool = pool
        self._measures = measures
        self._deadline_s = deadline_s
        # One more than work: the next picture is read while the workers are busy.
        self._places = Places(pool.size + 1, max_waiting, _too_busy)
        self._poison = Poison()

    async def make(self, function: Callable[[bytes, J], R], read: Read, asked: J, about: Job) -> R:
        """Return what `function(bytes, asked)` makes in a worker; `about` says of which picture.

        Raises what `function` and `read` raise; `Rejected` 422 `unprocessable_picture` (it kills
        its worker); `Transient`: `too_busy`, `deadline_exceeded`.
        """
        outcome = "failed"
        try:
            self._poison.refuse(about.source)
            async with self._places.taken():
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

    async def _made(
        self, function: Callable[[bytes, J], R], data: bytes, asked: J, about: Job
    ) -> R:
        async def once() -> R:
            return await self._pool.run(
                function, data, asked, deadline_s=self._deadline_s, called="augment"
            )

        started = time.perf_counter()
        made = await self._poison.tried(about.source, once)
        self._measures.preview_seconds.labels(about.format).observe(time.perf_counter() - started)
        return made


def _too_busy() -> Transient:
    return Transient("too many previews are waiting for a worker", code="too_busy")
