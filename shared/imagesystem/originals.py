"""Originals: whether an image is there, what is known of it, and its bytes."""

from __future__ import annotations

import asyncio

from imagesystem import logs
from imagesystem.bus.port import Bus
from imagesystem.errors import ObjectMissing, Rejected
from imagesystem.events import Deleted, Uploaded
from imagesystem.objects.port import Bucket

__all__ = ["Originals"]

log = logs.get(__name__)


class Originals:
    """What the registry stored and announced; the facts say whether, the bucket holds what."""

    def __init__(self, bus: Bus, bucket: Bucket) -> None:
        self._bus = bus
        self._bucket = bucket

    async def find(self, image_id: str) -> Uploaded:
        """Return what is known of the original.

        Raises `Rejected`: 404 `unknown_image`, or 410 `image_deleted` while its tombstone is
        the latest word.
        """
        uploaded, deleted = await asyncio.gather(
            self._bus.latest(f"images.v1.{image_id}.{Uploaded.kind}"),
            self._bus.latest(f"images.v1.{image_id}.{Deleted.kind}"),
        )
        # Between a tombstone and the purge that follows it, both are there.
        if deleted is not None and (uploaded is None or uploaded.sequence < deleted.sequence):
            raise Rejected(410, "image_deleted", f"image {image_id} was deleted")
        if uploaded is None or not isinstance(uploaded.event, Uploaded):
            raise Rejected(404, "unknown_image", f"there is no image {image_id}")
        return uploaded.event

    async def whole(self, original: Uploaded) -> bytes:
        """Return all bytes, their digest verified; raises as `find` if it is gone by now."""
        try:
            return (await self._bucket.get(original.image_id))[1]
        except ObjectMissing:
            await self.missed(original)
            raise

    async def missed(self, original: Uploaded) -> None:
        """Raise what `find` raises now, because the bytes are not there.

        If it returns, the image was not deleted: its bytes are lost, which is logged.
        """
        await self.find(original.image_id)
        log.error("original_missing", image_id=original.image_id)
