"""Where renditions come from: the cache, another request that makes the same, or a worker."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import msgspec
from imagesystem import logs
from imagesystem.errors import Rejected, Transient
from imagesystem.events import Uploaded
from imagesystem.workers import WorkerDied, WorkerPool

from image_service.cache import RenditionCache
from image_service.limits import Limits
from image_service.measures import Measures
from image_service.originals import Originals
from image_service.parameters import Recipe, Source
from image_service.renditions import ENGINE, describe, render

__all__ = ["Darkroom", "Developed", "Refusals", "key"]

log = logs.get(__name__)

_canonical = msgspec.json.Encoder(order="sorted").encode


def key(sha256: str, recipe: Recipe) -> str:
    """Return the name of a rendition's bytes: source, recipe and engine, in 32 hex digits."""
    identity = _canonical([ENGINE, sha256, recipe])
    return hashlib.sha256(identity).hexdigest()[:32]


class Developed(msgspec.Struct, frozen=True, kw_only=True):
    """A rendition's bytes, and whether the cache had them."""

    data: bytes
    hit: bool


class Refusals:
    """What was refused lately: a picture that kills its decoder is not tried at every request."""

    LIFETIME_S = 300.0
    MOST = 1024

    def __init__(self) -> None:
        self._held: OrderedDict[str, tuple[float, Rejected]] = OrderedDict()

    def add(self, name: str, refusal: Rejected) -> None:
        """Remember the refusal under a rendition's key or a source's digest."""
        self._held[name] = (time.monotonic() + self.LIFETIME_S, refusal)
        self._held.move_to_end(name)
        while len(self._held) > self.MOST:
            self._held.popitem(last=False)

    def check(self, name: str) -> None:
        """Raise the refusal remembered under this name, if there is one."""
        until, refusal = self._held.get(name, (0.0, None))
        if refusal is None:
            return
        if until < time.monotonic():
            del self._held[name]
            return
        raise copy.copy(refusal)  # a raised error keeps the frames it went through


class Darkroom:
    """Makes each rendition once, no more at a time than there are workers.

    `max_waiting` renditions may wait for a worker; what comes then is turned away.
    """

    def __init__(
        self,
        originals: Originals,
        cache: RenditionCache,
        pool: WorkerPool,
        measures: Measures,
        limits: Limits,
        *,
        max_waiting: int,
        deadline_s: float,
    ) -> None:
        self._originals = originals
        self._cache = cache
        self._pool = pool
        self._measures = measures
        self._limits = limits
        self._max_waiting = max_waiting
        self._deadline_s = deadline_s
        # One more than work: the next original is fetched while the workers are busy.
        self._places = asyncio.Semaphore(pool.size + 1)
        self._waiting = 0
        self._making: dict[str, asyncio.Task[Developed]] = {}
        self._refusals = Refusals()

    async def develop(self, original: Uploaded, recipe: Recipe) -> Developed:
        """Return the rendition.

        Raises `Rejected`: what `render` raises, or 422 `unprocessable_picture` (it kills its
        decoder); `Transient`: `too_busy`, `deadline_exceeded`.
        """
        name = key(original.sha256, recipe)
        # By image too: the same bytes may belong to several, and each is deleted alone.
        flight = f"{original.image_id}/{name}"
        try:
            self._refusals.check(original.sha256)
            self._refusals.check(name)
            task = self._making.get(flight)
            if task is None:
                task = self._begin(flight, original, recipe)
            else:
                self._measures.renditions.labels("joined").inc()
            # A client that leaves does not take the rendition from the others.
            return await asyncio.shield(task)
        except Rejected:
            self._measures.renditions.labels("refused").inc()
            raise

    def _begin(self, flight: str, original: Uploaded, recipe: Recipe) -> asyncio.Task[Developed]:
        task = asyncio.create_task(self._develop(original, recipe, flight.rpartition("/")[2]))
        self._making[flight] = task

        def landed(task: asyncio.Task[Developed]) -> None:
            del self._making[flight]
            if not task.cancelled():
                task.exception()  # whoever asked may have left: then nobody else looks at it

        task.add_done_callback(landed)
        return task

    async def close(self) -> None:
        """Give up what is being made."""
        for task in self._making.values():
            task.cancel()
        await asyncio.gather(*self._making.values(), return_exceptions=True)

    async def _develop(self, original: Uploaded, recipe: Recipe, name: str) -> Developed:
        cached = await self._cache.get(original.image_id, name)
        if cached is not None:
            self._measures.renditions.labels("hit").inc()
            return Developed(data=cached, hit=True)
        async with self._place():
            data = await self._made(original, recipe, name)
        self._measures.renditions.labels("made").inc()
        self._cache.keep(original.image_id, name, data)
        return Developed(data=data, hit=False)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Wait for a place to work at, if not too many do."""
        if self._waiting >= self._max_waiting:
            self._measures.renditions.labels("busy").inc()
            raise Transient("too many renditions are waiting for a worker", code="too_busy")
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()

    async def transform(
        self, read: Callable[[], Awaitable[bytes]], choose: Callable[[Source], Recipe]
    ) -> tuple[Recipe, bytes]:
        """Return a rendition of bytes that are nobody's original, and its recipe; keep nothing.

        `read` is called when there is a place: bytes that wait stay where they are. `choose` is
        told what they are. Raises as `develop`.
        """
        async with self._place():
            source = await read()
            try:
                found = await self._pool.run(
                    describe, source, self._limits, deadline_s=self._deadline_s
                )
                recipe = choose(found)
                data = await self._rendered(source, recipe, await self._others(recipe))
            except WorkerDied as error:
                raise _unprocessable() from error
        self._measures.renditions.labels("transformed").inc()
        return recipe, data

    async def _others(self, recipe: Recipe) -> Mapping[str, bytes]:
        """Return the bytes of the other images that a recipe shows."""
        return {
            image_id: await self._originals.whole(await self._originals.find(image_id))
            for image_id in recipe.sources()
        }

    async def _made(self, original: Uploaded, recipe: Recipe, name: str) -> bytes:
        source, others = await self._originals.whole(original), await self._others(recipe)
        started = time.perf_counter()
        try:
            data = await self._rendered(source, recipe, others)
        except WorkerDied as error:
            refusal = _unprocessable()
            log.warning("unprocessable_picture", image_id=original.image_id, recipe=recipe)
            self._refusals.add(original.sha256, refusal)
            raise refusal from error
        except Rejected as refusal:
            self._refusals.add(name, refusal)
            raise
        self._measures.rendering_seconds.labels(recipe.format).observe(
            time.perf_counter() - started
        )
        return data

    async def _rendered(self, source: bytes, recipe: Recipe, others: Mapping[str, bytes]) -> bytes:
        try:
            return await self._once(source, recipe, others)
        except WorkerDied:
            # A first death may be somebody else's doing (out of memory); a second is its own.
            return await self._once(source, recipe, others)

    async def _once(self, source: bytes, recipe: Recipe, others: Mapping[str, bytes]) -> bytes:
        rendition = await self._pool.run(
            render, source, recipe, self._limits, others, deadline_s=self._deadline_s
        )
        return rendition.data


def _unprocessable() -> Rejected:
    return Rejected(
        422, "unprocessable_picture", "the picture cannot be processed: its decoder dies"
    )
