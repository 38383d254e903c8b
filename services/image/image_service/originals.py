"""Originals as this service serves them: known from before, whole, or in pieces."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator

from imagesystem import originals
from imagesystem.bus import Bus
from imagesystem.errors import ObjectMissing, Rejected
from imagesystem.events import Uploaded
from imagesystem.objects import Bucket, ObjectInfo

from image_service.known import Known

__all__ = ["Originals"]


class Originals:
    """What the log and the bucket hold, and what was found there before."""

    #: Descriptions of objects that are remembered: whoever streams asks for range after range.
    MOST = 4096

    def __init__(self, bus: Bus, bucket: Bucket, known: Known | None = None) -> None:
        self._stored = originals.Originals(bus, bucket)
        self._bucket = bucket
        self._known = known or Known()
        self._infos: OrderedDict[str, tuple[Uploaded, ObjectInfo]] = OrderedDict()

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
        held = self._held(original)
        if held is not None:
            try:
                return await self._begun(held, start, stop)
            except ObjectMissing:  # written again since
                del self._infos[original.image_id]
        try:
            return await self._begun(await self._described(original), start, stop)
        except ObjectMissing:
            await self._stored.missed(original)
            raise

    def _held(self, original: Uploaded) -> ObjectInfo | None:
        """Return what was found of the object, since when nothing was said of the image."""
        fact, info = self._infos.get(original.image_id, (None, None))
        return info if fact is original else None

    async def _described(self, original: Uploaded) -> ObjectInfo:
        image_id = original.image_id
        info = await self._bucket.info(image_id)
        if info is None:
            raise ObjectMissing(f"the original of image {image_id} is missing")
        if self._known.get(image_id) is original:
            self._infos[image_id] = (original, info)
            self._infos.move_to_end(image_id)
            if len(self._infos) > self.MOST:
                self._infos.popitem(last=False)
        return info

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
