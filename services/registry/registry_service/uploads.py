"""An upload, from received bytes to the announced fact.

A retry looks for the fact, not for the object: bytes without a fact (a crash in between) are
announced, not called a duplicate.
"""

from __future__ import annotations

import asyncio

import msgspec
from imagesystem import ids, logs
from imagesystem.bus import Bus
from imagesystem.errors import Rejected, StoreFull, Unavailable, WrongSequence
from imagesystem.events import Uploaded
from imagesystem.objects import Bucket, ObjectInfo
from imagesystem.spools import Spool

from registry_service.deletions import Deletions
from registry_service.locks import Locks
from registry_service.measures import Measures
from registry_service.pictures import Picture, inspect
from registry_service.structure import Limits

__all__ = ["Accepted", "Uploads"]

log = logs.get(__name__)

#: How often an image may be deleted by another process while it is being uploaded here.
ATTEMPTS = 3


class Accepted(msgspec.Struct, frozen=True):
    """The fact that stands, and whether it stood before."""

    uploaded: Uploaded
    duplicate: bool


class Uploads:
    """Validates, stores and announces pictures."""

    def __init__(
        self,
        *,
        bus: Bus,
        originals: Bucket,
        deletions: Deletions,
        locks: Locks,
        measures: Measures,
        limits: Limits,
        max_validations: int,
    ) -> None:
        self._bus = bus
        self._originals = originals
        self._deletions = deletions
        self._locks = locks
        self._measures = measures
        self._limits = limits
        self._validating = asyncio.Semaphore(max_validations)

    async def accept(self, spool: Spool, filename: str, tags: list[str]) -> Accepted:
        """Accept what `spool` holds, whole; returns once it is durable and announced.

        Raises `Rejected` for what is no acceptable picture, `Unavailable` and `StoreFull` when
        it cannot be kept. The same picture again changes nothing, whatever its name and tags.
        """
        try:
            accepted = await self._accept(spool, filename, tags)
        except Rejected as error:
            self._measures.uploads.labels(error.code).inc()
            raise
        self._measures.uploads.labels("duplicate" if accepted.duplicate else "accepted").inc()
        if not accepted.duplicate:
            self._measures.accepted_bytes.inc(spool.size)
        log.info(
            "upload_known" if accepted.duplicate else "upload_accepted",
            image_id=accepted.uploaded.image_id,
            media_type=accepted.uploaded.media_type,
            size_bytes=spool.size,
        )
        return accepted

    async def _accept(self, spool: Spool, filename: str, tags: list[str]) -> Accepted:
        with self._measures.stage("validate"):
            async with self._validating:
                picture = await asyncio.to_thread(inspect, spool.file, self._limits)
        fact = _uploaded(spool, picture, filename, tags)
        async with self._locks.hold(fact.image_id):
            return await self._announce(spool, fact)

    async def _announce(self, spool: Spool, fact: Uploaded) -> Accepted:
        subject = f"images.v1.{fact.image_id}"
        announced = False
        for _ in range(ATTEMPTS):
            with self._measures.stage("lookup"):
                known, tombstone, there = await asyncio.gather(
                    self._bus.latest(f"{subject}.uploaded"),
                    self._bus.latest(f"{subject}.deleted"),
                    self._originals.info(fact.image_id),
                )
            if tombstone is not None:
                # finish that deletion, then take the tombstone away, and no newer one
                await self._deletions.purge(fact.image_id, tombstone.sequence)
                await self._bus.forget(f"{subject}.deleted", below=tombstone.sequence + 1)
                there = await self._originals.info(fact.image_id)
            elif known is not None and isinstance(known.event, Uploaded):
                return Accepted(known.event, duplicate=not announced)
            with self._measures.stage("store"):
                put = await self._store(spool, fact, there)
            with self._measures.stage("announce"):
                announced = await self._say(fact, put) or announced
                if put is None and await self._originals.info(fact.image_id) is None:
                    # whoever had put it had no room for the fact, and took it back
                    await self._store(spool, fact, None)
                # another process may have deleted the image since it was looked up
                gone = await self._bus.latest(f"{subject}.deleted")
            if announced and gone is None:
                return Accepted(fact, duplicate=False)
        raise Unavailable("registry", "the image is being deleted at the same time; try again")

    async def _store(
        self, spool: Spool, fact: Uploaded, there: ObjectInfo | None
    ) -> ObjectInfo | None:
        """Put the original, unless its bytes are there already (a crash before the fact): None."""
        if there is not None and there.digest == fact.sha256:
            return None
        return await self._originals.put(
            fact.image_id,
            spool.pieces(),
            metadata={"media_type": fact.media_type, "filename": fact.filename},
            digest=fact.sha256,
        )

    async def _say(self, fact: Uploaded, put: ObjectInfo | None) -> bool:
        """Publish the fact; False if another process said it first.

        Where there is no room for it, what was `put` is taken back: nobody would know of it.
        """
        try:
            await self._bus.publish(fact, expected=0)
        except WrongSequence:
            return False
        except StoreFull:
            if put is not None:
                await self._originals.delete(put)
            raise
        return True


def _uploaded(spool: Spool, picture: Picture, filename: str, tags: list[str]) -> Uploaded:
    return Uploaded(
        image_id=spool.image_id,
        filename=filename,
        media_type=picture.media_type,
        size_bytes=spool.size,
        width=picture.width,
        height=picture.height,
        frames=picture.frames,
        sha256=spool.sha256,
        uploaded_at=ids.now(),
        owner=spool.owner,
        tags=tags,
        exif=picture.exif,
    )
