"""Originals: whether there is one, what it is called, and its bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from imagesystem import logs
from imagesystem.bus import Bus
from imagesystem.errors import ObjectMissing, Rejected
from imagesystem.events import Deleted, Uploaded
from imagesystem.objects import Bucket, ObjectInfo

from image_service.known import Known

__all__ = ["Originals"]

log = logs.get(__name__)


class Originals:
    """What the registry stored and announced; the facts say whether, the bucket holds what."""

    def __init__(self, bus: Bus, bucket: Bucket, known: Known | None = None) -> None:
        self._bus = bus
        self._bucket = bucket
        self._known = known or Known()

    async def find(self, image_id: str, *, fresh: bool = False) -> Uploaded:
        """Return what is known of the original; `fresh`: as the log has it now.

        Raises `Rejected`: 404 `unknown_image`, or 410 `image_deleted` while its tombstone is
        the latest word.
        """
        known = None if fresh else self._known.get(image_id)
        if known is not None:
            return known
        moment = self._known.moment
        uploaded, deleted = await asyncio.gather(
            self._bus.latest(f"images.v1.{image_id}.{Uploaded.kind}"),
            self._bus.latest(f"images.v1.{image_id}.{Deleted.kind}"),
        )
        # Between a tombstone and the purge that follows it, both are there.
        if deleted is not None and (uploaded is None or uploaded.sequence < deleted.sequence):
            raise Rejected(410, "image_deleted", f"image {image_id} was deleted")
        if uploaded is None or not isinstance(uploaded.event, Uploaded):
            raise Rejected(404, "unknown_image", f"there is no image {image_id}")
        self._known.put(uploaded.event, moment)
        return uploaded.event

    async def exists(self, image_id: str) -> bool:
        """Say whether the image is there now."""
        try:
            await self.find(image_id, fresh=True)
        except Rejected:
            return False
        return True

    async def whole(self, original: Uploaded) -> bytes:
        """Return all bytes, their digest verified; raises as `find` if it is gone by now."""
        try:
            return (await self._bucket.get(original.image_id))[1]
        except ObjectMissing:
            await self._lost(original)
            raise

    async def open(self, original: Uploaded, start: int, stop: int) -> AsyncIterator[bytes]:
        """Return a stream of the bytes from `start` to `stop` (exclusive).

        The first piece is read before this returns, so that what is not there is an error
        here and not in the middle of an answer.
        """
        info = await self._bucket.info(original.image_id)
        try:
            if info is None:
                raise ObjectMissing(f"the original of image {original.image_id} is missing")
            return await self._begun(info, start, stop)
        except ObjectMissing:
            await self._lost(original)
            raise

    async def _begun(self, info: ObjectInfo, start: int, stop: int) -> AsyncIterator[bytes]:
        pieces = self._bucket.read(info, start, stop)
        return _continued(await anext(pieces, b""), pieces)

    async def _lost(self, original: Uploaded) -> None:
        """Raise what `find` raises now: the image was deleted while it was being read."""
        await self.find(original.image_id, fresh=True)
        log.error("original_missing", image_id=original.image_id)


async def _continued(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for piece in rest:
            yield piece
    finally:
        if isinstance(rest, AsyncGenerator):
            await rest.aclose()
