"""Originals as this service serves them: known from before, whole, or in pieces."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from imagesystem import originals
from imagesystem.bus import Bus
from imagesystem.errors import ObjectMissing, Rejected
from imagesystem.events import Uploaded
from imagesystem.objects import Bucket, ObjectInfo

from image_service.known import Known

__all__ = ["Originals"]


class Originals:
    """What the log and the bucket hold, and what was found in the log before."""

    def __init__(self, bus: Bus, bucket: Bucket, known: Known | None = None) -> None:
        self._stored = originals.Originals(bus, bucket)
        self._bucket = bucket
        self._known = known or Known()

    async def find(self, image_id: str) -> Uploaded:
        """Return what is known of the original; raises as `imagesystem.originals` does."""
        return self._known.get(image_id) or await self._look_up(image_id)

    async def exists(self, image_id: str) -> bool:
        """Say whether the image is there now."""
        try:
            await self._look_up(image_id)
        except Rejected:
            return False
        return True

    async def _look_up(self, image_id: str) -> Uploaded:
        moment = self._known.moment
        found = await self._stored.find(image_id)
        self._known.put(found, moment)
        return found

    async def whole(self, original: Uploaded) -> bytes:
        """Return all bytes, their digest verified; raises as `find` if it is gone by now."""
        return await self._stored.whole(original)

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
            await self._stored.missed(original)
            raise

    async def _begun(self, info: ObjectInfo, start: int, stop: int) -> AsyncIterator[bytes]:
        pieces = self._bucket.read(info, start, stop)
        return _continued(await anext(pieces, b""), pieces)


async def _continued(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for piece in rest:
            yield piece
    finally:
        if isinstance(rest, AsyncGenerator):
            await rest.aclose()
