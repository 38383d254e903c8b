"""Deleting an image: the tombstone first, then everything that it makes void.

The tombstone (`images.v1.<id>.deleted`, stream sequence S) is what deletes; the purge only
follows it and may be repeated by anybody: facts below S go, then the original. It never touches
what a newer upload wrote, because the original is read before the tombstone is checked, and is
deleted only if it is still the one that was read: had it been written by a newer upload, the
tombstone would have been gone by then.
"""

from __future__ import annotations

import asyncio
from typing import cast

from imagesystem import ids, logs
from imagesystem.bus import Bus, Received
from imagesystem.errors import Rejected, StoreFull, Unavailable, WrongSequence
from imagesystem.events import Deleted, Uploaded
from imagesystem.objects import Bucket

from registry_service.locks import Locks

__all__ = ["Deletions"]

log = logs.get(__name__)


class Deletions:
    """Says tombstones and carries them out, on bucket `originals`."""

    def __init__(self, bus: Bus, originals: Bucket, locks: Locks) -> None:
        self._bus = bus
        self._originals = originals
        self._locks = locks

    async def delete(self, image_id: str) -> Deleted:
        """Say that the image is deleted; returns the tombstone that stands, ours or an older one.

        Raises `Rejected` 404 `unknown_image` for an image that never was.
        """
        async with self._locks.hold(image_id):
            tombstone, uploaded = await asyncio.gather(
                self._tombstone(image_id), self._bus.latest(f"images.v1.{image_id}.uploaded")
            )
            if tombstone and not (uploaded and uploaded.sequence > tombstone.sequence):
                return tombstone.event
            if uploaded is None:
                raise Rejected(404, "unknown_image", f"there is no image {image_id}")
            fact = Deleted(image_id=image_id, reason="requested", deleted_at=ids.now())
            try:
                await self._say(fact, expected=tombstone.sequence if tombstone else 0)
            except WrongSequence:  # another process was faster
                tombstone = await self._tombstone(image_id)
                if tombstone is None:
                    raise Unavailable("registry", "the image is being uploaded again") from None
                return tombstone.event
        log.info("image_deleted", image_id=image_id)
        return fact

    async def _say(self, fact: Deleted, expected: int) -> None:
        """Publish the tombstone; while there is no room for it, what it makes void goes first.

        Otherwise nothing could be deleted from a full store. That the image was uploaded is
        forgotten last: until then, whoever was interrupted finds an image to delete.
        """
        for make_room in (self._forget_derived, self._drop_original, self._forget_upload):
            try:
                await self._bus.publish(fact, expected=expected)
            except StoreFull as error:
                log.warning("tombstone_refused", image_id=fact.image_id, error=error.message)
                await make_room(fact.image_id)
            else:
                return
        await self._bus.publish(fact, expected=expected)

    async def _forget_derived(self, image_id: str) -> None:
        for said in await self._bus.facts(image_id):
            if not isinstance(said.event, Uploaded | Deleted):
                await self._bus.forget(said.subject)

    async def _drop_original(self, image_id: str) -> None:
        original = await self._originals.info(image_id)
        if original is not None:
            await self._originals.delete(original)

    async def _forget_upload(self, image_id: str) -> None:
        await self._bus.forget(f"images.v1.{image_id}.uploaded")

    async def _tombstone(self, image_id: str) -> Received[Deleted] | None:
        found = await self._bus.latest(f"images.v1.{image_id}.deleted")
        return cast("Received[Deleted] | None", found)  # one type per subject

    async def carry_out(self, image_id: str, sequence: int) -> None:
        """Purge what the tombstone at `sequence` makes void, one image at a time."""
        async with self._locks.hold(image_id):
            await self.purge(image_id, sequence)

    async def purge(self, image_id: str, sequence: int) -> None:
        """Purge what the tombstone at `sequence` makes void, unless it is gone; idempotent.

        Whoever calls it holds the image's lock.
        """
        original = await self._originals.info(image_id)
        tombstone = await self._tombstone(image_id)
        if tombstone is None or tombstone.sequence != sequence:
            log.info("tombstone_superseded", image_id=image_id, sequence=sequence)
            return
        facts = await self._bus.forget(f"images.v1.{image_id}.>", below=sequence)
        if original is not None:
            await self._originals.delete(original)
        log.info("image_purged", image_id=image_id, facts=facts, original=original is not None)
