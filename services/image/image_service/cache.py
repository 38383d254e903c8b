"""The rendition cache: the bucket `renditions`, which may vanish at any moment.

An object is called `<image id>/<key>`. Object names are opaque to NATS, so that what is cached
of an image is known from an index of names, which follows the bucket; every replica has one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from imagesystem import logs
from imagesystem.errors import ImageSystemError, ObjectMissing, Transient, Unavailable
from imagesystem.objects import Bucket, ObjectInfo

from image_service.measures import Measures

__all__ = ["CacheIndex", "RenditionCache"]

log = logs.get(__name__)

RETRY_S = 1.0
MAX_WRITES = 32
MAX_WRITING_BYTES = 64 * 1024 * 1024
#: The object's metadata that names the other images in it, with spaces between.
SHOWN = "shown"


class CacheIndex:
    """What is cached, by image, the oldest first.

    A full bucket drops its oldest objects without a word. The index does the same, by the same
    limit: it may still name what is gone, never for ever.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._infos: dict[str, ObjectInfo] = {}
        self._names: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._infos)

    def learn(self, info: ObjectInfo) -> None:
        """Take in an object's description, a deletion too."""
        self.forget(info.name)
        if info.deleted:
            return
        self._infos[info.name] = info
        for image_id in _shown_in(info):
            self._names.setdefault(image_id, set()).add(info.name)
        self._bytes += info.size
        while 0 <= self._max_bytes < self._bytes and len(self._infos) > 1:
            self.forget(next(iter(self._infos)))

    def forget(self, name: str) -> None:
        """Take out an object, if it is there."""
        info = self._infos.pop(name, None)
        if info is None:
            return
        self._bytes -= info.size
        for image_id in _shown_in(info):
            names = self._names[image_id]
            names.discard(name)
            if not names:
                del self._names[image_id]

    def of(self, image_id: str) -> list[ObjectInfo]:
        """Return what is cached of an image, and of others with that image in them."""
        return [self._infos[name] for name in self._names.get(image_id, ())]

    def __contains__(self, name: str) -> bool:
        return name in self._infos


def _shown_in(info: ObjectInfo) -> set[str]:
    """Return the images that are seen in a rendition: its own, and watermarks."""
    return {info.name.partition("/")[0], *info.metadata.get(SHOWN, "").split()}


class RenditionCache:
    """Get, keep and drop renditions; `follow` must run beside it.

    `exists(image_id)` says whether an image is there: nothing is kept of one that is not.
    `max_bytes` is the bucket's limit (-1: none).
    """

    def __init__(
        self,
        bucket: Bucket,
        exists: Callable[[str], Awaitable[bool]],
        measures: Measures,
        max_bytes: int,
    ) -> None:
        self._bucket = bucket
        self._exists = exists
        self._measures = measures
        self._max_bytes = max_bytes
        self._index = CacheIndex(max_bytes)
        self._following = False
        self._writes: set[asyncio.Task[None]] = set()
        self._writing_bytes = 0

    @property
    def unhealthy(self) -> str | None:
        """None while the index follows the bucket, else one line."""
        return None if self._following else "the index of cached renditions is not there"

    async def get(self, image_id: str, key: str) -> bytes | None:
        """Return the rendition, or None if it is not there whole or cannot be had now."""
        if self._following and f"{image_id}/{key}" not in self._index:
            return None  # the index knows: the bucket need not be asked
        try:
            return (await self._bucket.get(f"{image_id}/{key}"))[1]
        except ObjectMissing:
            return None
        except Transient as error:
            log.warning("rendition_cache_unreadable", image_id=image_id, error=error.message)
            return None

    def holds(self, image_id: str, key: str) -> bool:
        """Say whether the rendition is there, as far as it is known."""
        return f"{image_id}/{key}" in self._index

    def keep(self, image_id: str, key: str, data: bytes, others: tuple[str, ...] = ()) -> None:
        """Write a rendition in the background; skipped while too much is being written.

        `others`: the images that are seen in it besides its own.
        """
        if len(self._writes) >= MAX_WRITES or self._writing_bytes >= MAX_WRITING_BYTES:
            self._measures.cache_writes.labels("skipped").inc()
            return
        self._writing_bytes += len(data)
        task = asyncio.create_task(self._write(image_id, key, data, others))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write(self, image_id: str, key: str, data: bytes, others: tuple[str, ...]) -> None:
        outcome, shown = "failed", {SHOWN: " ".join(others)} if others else None
        try:
            info = await self._bucket.put(f"{image_id}/{key}", data, metadata=shown)
            outcome = "kept"
            # Deleted while it was made or written: whoever drops the image's renditions may
            # not have seen this one.
            there = [await self._exists(each) for each in (image_id, *others)]
            if not all(there):
                await self._bucket.delete(info)
                outcome = "late"
        except ImageSystemError as error:
            log.warning("rendition_not_cached", image_id=image_id, error=error.message)
        except Exception:  # a task of its own: nobody else would say so
            log.exception("rendition_not_cached", image_id=image_id)
        finally:
            self._writing_bytes -= len(data)
            self._measures.cache_writes.labels(outcome).inc()

    async def drop(self, image_id: str) -> int:
        """Delete everything cached of an image; returns how many that were.

        Raises `Unavailable` before `follow` has seen the whole bucket: what there is of the
        image is not known yet.
        """
        if self.unhealthy is not None:
            raise Unavailable("renditions", self.unhealthy)
        dropped = 0
        for info in self._index.of(image_id):
            dropped += await self._bucket.delete(info)
        self._measures.dropped.inc(dropped)
        return dropped

    async def follow(self) -> None:
        """Keep the index true to the bucket, for ever; after an outage it is built anew."""
        while True:
            try:
                await self._follow_once()
            except ImageSystemError as error:
                log.warning("rendition_index_lost", error=error.message)
            finally:
                self._following = False
            await asyncio.sleep(RETRY_S)

    async def _follow_once(self) -> None:
        index = CacheIndex(self._max_bytes)
        async for info in self._bucket.watch():
            if info is not None:
                index.learn(info)
                continue
            self._index = index
            self._following = True
            log.info("rendition_index_ready", renditions=len(index))

    async def settle(self) -> None:
        """Wait until nothing is being written."""
        while self._writes:
            await asyncio.gather(*self._writes)
