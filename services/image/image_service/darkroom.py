"""Where renditions come from: the cache, another request that makes the same, or a worker."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias

import msgspec
from imagesystem import logs
from imagesystem.errors import Rejected
from imagesystem.events import Uploaded
from imagesystem.workers import WorkerDied, WorkerPool

from image_service.cache import RenditionCache
from image_service.information import SIDE, Survey, survey
from image_service.limits import Limits
from image_service.measures import Measures
from image_service.negatives import Negative, Negatives
from image_service.originals import Originals
from image_service.parameters import Recipe, Source
from image_service.places import Places, decoded_bytes
from image_service.refusals import Refusals
from image_service.renditions import ENGINE, describe, render
from image_service.shelf import Shelf

__all__ = ["Darkroom", "Developed", "key", "source_of"]

log = logs.get(__name__)

#: Makes the bytes of a rendition that nobody has.
Make: TypeAlias = Callable[[], Awaitable[bytes]]

_survey_decoder = msgspec.json.Decoder(Survey)
_canonical = msgspec.json.Encoder(order="sorted").encode


def source_of(original: Uploaded) -> Source:
    """Return what is known of an original without reading it."""
    return Source(
        media_type=original.media_type,
        width=original.width,
        height=original.height,
        frames=original.frames,
    )


def key(sha256: str, recipe: Recipe) -> str:
    """Return the name of a rendition's bytes: source, recipe and engine, in 32 hex digits."""
    identity = _canonical([ENGINE, sha256, recipe])
    return hashlib.sha256(identity).hexdigest()[:32]


class Developed(msgspec.Struct, frozen=True, kw_only=True):
    """A rendition's bytes, and where they were: `memory` (`name` on the shelf), `bucket`, or
    nowhere yet.
    """

    name: str
    data: bytes
    where: str = ""

    @property
    def hit(self) -> bool:
        """Whether nothing had to be made."""
        return bool(self.where)


class Darkroom:
    """Makes each rendition once, no more at a time than there are workers.

    What is made goes on the shelf. What is asked for again goes to the cache that all replicas
    share: writing there costs as much as half a rendition, and most are never asked for again.
    """

    #: Changes when what is made of the same bytes may change; fits into an entity tag.
    engine = hashlib.sha256(ENGINE.encode()).hexdigest()[:8]
    #: Names of renditions that are remembered as having been asked for.
    ASKED = 65_536

    def __init__(
        self,
        originals: Originals,
        cache: RenditionCache,
        pool: WorkerPool,
        measures: Measures,
        limits: Limits,
        *,
        shelf: Shelf,
        places: Places,
        deadline_s: float,
        negatives: Negatives | None = None,
    ) -> None:
        self._originals = originals
        self._negatives = negatives or Negatives(originals)
        self.cache = cache
        self._pool = pool
        self._measures = measures
        self._limits = limits
        self._shelf = shelf
        self._places = places
        self._deadline_s = deadline_s
        self._asked: OrderedDict[str, None] = OrderedDict()
        self._making: dict[str, asyncio.Task[Developed]] = {}
        self._refusals = Refusals()

    async def develop(self, original: Uploaded, recipe: Recipe) -> Developed:
        """Return the rendition.

        Raises `Rejected`: what `render` raises, 422 `unprocessable_picture` (it kills its
        decoder), 429 `too_busy`; `Transient`: `deadline_exceeded`.
        """
        name = key(original.sha256, recipe)

        async def make() -> bytes:
            return await self._made(original, recipe)

        return await self._obtained(original, name, make, recipe.sources())

    async def survey(self, original: Uploaded) -> Survey:
        """Return what one look at the original finds; raises as `develop`."""
        identity = _canonical([ENGINE, "survey", original.sha256])
        name = hashlib.sha256(identity).hexdigest()[:32]

        async def make() -> bytes:
            return await self._surveyed(original)

        return _survey_decoder.decode((await self._obtained(original, name, make)).data)

    async def _obtained(
        self, original: Uploaded, name: str, make: Make, others: tuple[str, ...] = ()
    ) -> Developed:
        # By image too: the same bytes may belong to several, and each is deleted alone.
        flight = f"{original.image_id}/{name}"
        shelved = self._shelf.get(flight)
        if shelved is not None:
            self._measures.renditions.labels("hit").inc()
            self._share(original, name, shelved, others)
            return Developed(name=flight, data=shelved, where="memory")
        try:
            self._refusals.check(original.sha256)
            self._refusals.check(name)
            task = self._making.get(flight)
            if task is None:
                task = self._begin(original, name, make, others)
            else:
                self._measures.renditions.labels("joined").inc()
            # A client that leaves does not take the rendition from the others.
            return await asyncio.shield(task)
        except Rejected as refusal:
            if refusal.status != 429:
                self._measures.renditions.labels("refused").inc()
            raise

    def _begin(
        self, original: Uploaded, name: str, make: Make, others: tuple[str, ...]
    ) -> asyncio.Task[Developed]:
        flight = f"{original.image_id}/{name}"
        task = asyncio.create_task(self._found_or_made(original, name, make, others))
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

    async def _found_or_made(
        self, original: Uploaded, name: str, make: Make, others: tuple[str, ...]
    ) -> Developed:
        flight, shown = f"{original.image_id}/{name}", (original.image_id, *others)
        cached = await self.cache.get(original.image_id, name)
        if cached is not None:
            self._measures.renditions.labels("shared").inc()
            self._shelf.put(flight, cached, shown)
            return Developed(name=flight, data=cached, where="bucket")
        async with self._places.taken(original.size_bytes):
            # Another rendition of it may have killed its decoder: then it need not be fetched.
            self._refusals.check(original.sha256)
            data = await self._guarded(original, name, make, others)
        self._measures.renditions.labels("made").inc()
        self._shelf.put(flight, data, shown)
        self._share(original, name, data, others)
        return Developed(name=flight, data=data)

    def _share(self, original: Uploaded, name: str, data: bytes, others: tuple[str, ...]) -> None:
        """Write what is asked for again to the cache that all replicas share, once."""
        flight = f"{original.image_id}/{name}"
        if flight not in self._asked:
            self._asked[flight] = None
            if len(self._asked) > self.ASKED:
                self._asked.popitem(last=False)
            return
        if not self.cache.holds(original.image_id, name):
            self.cache.keep(original.image_id, name, data, others)

    async def _guarded(
        self, original: Uploaded, name: str, make: Make, others: tuple[str, ...]
    ) -> bytes:
        """Remember what cannot be made: it is not tried at every request."""
        try:
            return await make()
        except WorkerDied as error:
            refusal = _unprocessable()
            log.warning("unprocessable_picture", image_id=original.image_id)
            # With a watermark in it, nobody knows whose fault it was: this rendition is refused.
            self._refusals.add(name if others else original.sha256, refusal)
            raise refusal from error
        except Rejected as refusal:
            self._refusals.add(name, refusal)
            raise

    async def transform(
        self, sha256: str, read: Callable[[], Awaitable[bytes]], choose: Callable[[Source], Recipe]
    ) -> tuple[Recipe, bytes]:
        """Return a rendition of bytes that are nobody's original, and its recipe; keep nothing.

        `read` is called when there is a place: bytes that wait stay where they are. `choose` is
        told what they are. Raises as `develop`.
        """
        async with self._places.taken():
            self._refusals.check(sha256)
            source = await read()
            others: Mapping[str, bytes] = {}
            try:
                found = await self._pool.run(
                    describe, source, self._limits, deadline_s=self._deadline_s
                )
                recipe = choose(found)
                others = await self._others(recipe)
                async with self._places.room(decoded_bytes(found, recipe)):
                    data = await self._rendered(source, recipe, others)
            except WorkerDied as error:
                refusal = _unprocessable()
                if not others:  # (else see `_guarded`)
                    self._refusals.add(sha256, refusal)
                raise refusal from error
        self._measures.renditions.labels("transformed").inc()
        return recipe, data

    async def _others(self, recipe: Recipe) -> Mapping[str, bytes]:
        """Return the bytes of the other images that a recipe shows."""
        return {
            image_id: await self._originals.whole(await self._originals.find(image_id))
            for image_id in recipe.sources()
        }

    async def _made(self, original: Uploaded, recipe: Recipe) -> bytes:
        async with self._negatives.of(original) as source:
            others = await self._others(recipe)
            started = time.perf_counter()
            async with self._working(original, recipe):
                data = await self._rendered(source, recipe, others)
        self._measures.rendering_seconds.labels(recipe.format).observe(
            time.perf_counter() - started
        )
        return data

    @asynccontextmanager
    async def _working(self, original: Uploaded, recipe: Recipe) -> AsyncIterator[None]:
        """Wait for a worker; raises the refusal if the original has killed one meanwhile."""
        async with self._places.room(decoded_bytes(source_of(original), recipe)):
            self._refusals.check(original.sha256)
            yield

    async def _surveyed(self, original: Uploaded) -> bytes:
        small = Recipe(format="png", width=SIDE, height=SIDE)
        async with self._negatives.of(original) as source, self._working(original, small):
            found = await self._pool.run(survey, source, self._limits, deadline_s=self._deadline_s)
        return msgspec.json.encode(found)

    async def _rendered(
        self, source: Negative, recipe: Recipe, others: Mapping[str, bytes]
    ) -> bytes:
        try:
            return await self._once(source, recipe, others)
        except WorkerDied:
            # A first death may be somebody else's doing (out of memory); a second is its own.
            return await self._once(source, recipe, others)

    async def _once(self, source: Negative, recipe: Recipe, others: Mapping[str, bytes]) -> bytes:
        rendition = await self._pool.run(
            render, source, recipe, self._limits, others, deadline_s=self._deadline_s
        )
        return rendition.data


def _unprocessable() -> Rejected:
    return Rejected(
        422, "unprocessable_picture", "the picture cannot be processed: its decoder dies"
    )
