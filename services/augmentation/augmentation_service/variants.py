"""The bucket `variants`: augmented pictures, called `<image id>/<variant id>`.

Object names are opaque to NATS, so that the variants of an image are known from an index of
names, which follows the bucket; every replica has one.

Whoever writes a variant announces it afterwards (`augmented`), is refused if the image has been
deleted meanwhile, and then deletes what it wrote: the index may not have seen it in time.
"""

from __future__ import annotations

import asyncio

from imagesystem import logs
from imagesystem.errors import ImageSystemError
from imagesystem.objects import Bucket, ObjectInfo

from augmentation_service.measures import Measures

__all__ = ["Variants", "object_name"]

log = logs.get(__name__)
RETRY_S = 1.0


def object_name(image_id: str, variant_id: str) -> str:
    """Return what a variant is called in the bucket."""
    return f"{image_id}/{variant_id}"


class _Names:
    """The names of all variants, by image."""

    def __init__(self) -> None:
        self._held: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    def learn(self, info: ObjectInfo) -> None:
        image_id = info.name.partition("/")[0]
        if not info.deleted:
            self._held.setdefault(image_id, set()).add(info.name)
            return
        names = self._held.get(image_id, set())
        names.discard(info.name)
        if not names:
            self._held.pop(image_id, None)

    def of(self, image_id: str) -> list[str]:
        return sorted(self._held.get(image_id, ()))


class Variants:
    """What is kept of every image; `follow` must run beside it."""

    def __init__(self, bucket: Bucket, measures: Measures) -> None:
        self._bucket = bucket
        self._measures = measures
        self._names = _Names()
        self._following = asyncio.Event()

    @property
    def unhealthy(self) -> str | None:
        """None while the index follows the bucket, else one line."""
        return None if self._following.is_set() else "the index of variants is not there"

    async def of(self, image_id: str) -> list[str]:
        """Return the names of an image's variants; waits until the index is there."""
        await self._following.wait()
        return self._names.of(image_id)

    async def drop(self, image_id: str) -> int:
        """Delete every variant of an image; returns how many that were. Idempotent."""
        dropped = 0
        for name in await self.of(image_id):
            info = await self._bucket.info(name)
            if info is not None:
                dropped += await self._bucket.delete(info)
        self._measures.variants_dropped.inc(dropped)
        return dropped

    async def follow(self) -> None:
        """Keep the index true to the bucket, for ever; after an outage it is built anew."""
        while True:
            try:
                await self._follow_once()
            except ImageSystemError as error:
                log.warning("variant_index_lost", error=error.message)
            finally:
                self._following.clear()
            await asyncio.sleep(RETRY_S)

    async def _follow_once(self) -> None:
        names = _Names()
        async for info in self._bucket.watch():
            if info is not None:
                names.learn(info)
                continue
            self._names = names
            self._following.set()
            log.info("variant_index_ready", variants=len(names))
