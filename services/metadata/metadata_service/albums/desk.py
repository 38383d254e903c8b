"""What people do with albums: said as facts about the pictures, read back from the log."""

from __future__ import annotations

import asyncio
import random
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from weakref import WeakValueDictionary

import msgspec
from imagesystem import ids
from imagesystem.bus import Bus
from imagesystem.errors import ImageDeleted, Rejected, WrongSequence
from imagesystem.events import Collected

from metadata_service.albums.ordering import Member, moved
from metadata_service.albums.shelf import Album, Shelf
from metadata_service.edits import Edits, image_deleted, unknown_image
from metadata_service.etags import Precondition
from metadata_service.settings import Settings

__all__ = ["Desk"]

#: Facts said at once, and times that a change is begun again because of somebody else's.
TOGETHER, ATTEMPTS = 32, 10
PAUSE_S = 0.05
MAX_TITLE, MAX_DESCRIPTION = 200, 10_000


class Desk:
    """Makes, changes and removes albums.

    Every change first writes the album, over the revision that it was made from: of two at once,
    one is made on top of the other. Then it says its facts; a death in between leaves some of them
    unsaid, and doing it again says the rest. Those who change one album through one process wait
    for each other, so that many at once are all served.
    """

    def __init__(self, shelf: Shelf, bus: Bus, edits: Edits, settings: Settings) -> None:
        self.shelf = shelf
        self._bus = bus
        self._edits = edits
        self._most = settings.albums_max
        self._most_pictures = settings.album_pictures_max
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def create(self, title: str, description: str | None) -> tuple[int, Album]:
        """Make an album; returns it with its revision."""
        if await self.shelf.count() >= self._most:
            raise _limit("ALBUMS_MAX", self._most, self._most + 1)
        now = ids.now()
        album = Album(
            album_id=ids.new_id(),
            title=_text("title", title, MAX_TITLE),
            description=_description(description),
            created_at=now,
            updated_at=now,
        )
        return await self.shelf.put(album, 0), album

    async def rename(
        self,
        album_id: str,
        title: str | msgspec.UnsetType,
        description: str | msgspec.UnsetType | None,
        precondition: Precondition,
    ) -> tuple[int, Album]:
        """Change what an album is called."""
        named = {}
        if title is not msgspec.UNSET:
            named["title"] = _text("title", title, MAX_TITLE)
        described = {}
        if description is not msgspec.UNSET:
            described["description"] = _description(description)
        async with self._turn(album_id):
            return await self._touch(album_id, precondition, {**named, **described})

    async def members(self, album_id: str) -> list[Member]:
        """Return what is in an album, in its order, as the log has it."""
        found = []
        async with aclosing(self._bus.history(f"images.v1.*.collected.{album_id}")) as stretches:
            async for stretch in stretches:
                found += [(each.event, each.sequence) for each in stretch.facts]
        latest = {
            fact.image_id: Member(
                image_id=fact.image_id, order=fact.order, cover=fact.cover, sequence=sequence
            )
            for fact, sequence in found
            if isinstance(fact, Collected) and not fact.removed
        }
        gone = {
            fact.image_id: sequence
            for fact, sequence in found
            if isinstance(fact, Collected) and fact.removed
        }
        held = [m for m in latest.values() if gone.get(m.image_id, 0) < m.sequence]
        return sorted(held, key=lambda member: (member.order, member.image_id))

    async def arrange(
        self,
        album_id: str,
        *,
        add: Sequence[str],
        remove: Sequence[str],
        before: str | None,
        precondition: Precondition,
    ) -> tuple[int, Album]:
        """Put pictures into an album, or elsewhere in it, and take others out."""
        add, remove = list(dict.fromkeys(add)), list(dict.fromkeys(remove))
        if both := set(add) & set(remove):
            raise Rejected(400, "invalid_request", f"{min(both)} is to be added and removed")
        if before is not None and before in {*add, *remove}:
            raise Rejected(400, "invalid_request", "`before` is among what is added or removed")
        _, album = await self.shelf.get(album_id)
        members = await self.members(album_id)
        known = {member.image_id for member in members}
        if before is not None and before not in known:
            raise Rejected(400, "not_in_album", f"before: {before} is not in the album")
        size = len((known | set(add)) - set(remove))
        if size > self._most_pictures:
            raise _limit("ALBUM_PICTURES_MAX", self._most_pictures, size)
        await self._check([name for name in add if name not in known])
        async with self._turn(album_id):
            revision, album = await self._touch(album_id, precondition, {})
            members = await self.members(album_id)
            await self._say(album_id, members, orders=moved(members, add, before), remove=remove)
        return revision, album

    async def cover(self, album_id: str, image_id: str) -> None:
        """Let a picture of an album stand for it."""
        members = await self.members(album_id)
        chosen = next((member for member in members if member.image_id == image_id), None)
        if chosen is None:
            raise Rejected(400, "not_in_album", f"cover: {image_id} is not in the album")
        await self._publish(album_id, chosen, cover=True)
        for member in members:
            if member.cover and member.image_id != image_id:
                await self._publish(album_id, member, cover=False)

    async def remove(self, album_id: str, precondition: Precondition) -> None:
        """Take everything out of an album, and forget it."""
        async with self._turn(album_id):
            await self._touch(album_id, precondition, {})
            members = await self.members(album_id)
            names = [member.image_id for member in members]
            await self._say(album_id, members, orders={}, remove=names)
            await self.shelf.remove(album_id)

    def _turn(self, album_id: str) -> asyncio.Lock:
        return self._turns.setdefault(album_id, asyncio.Lock())

    async def _touch(
        self, album_id: str, precondition: Precondition, changes: Mapping[str, str | None]
    ) -> tuple[int, Album]:
        for _ in range(ATTEMPTS):
            revision, album = await self.shelf.get(album_id)
            precondition.check(revision)
            changed: dict[str, str | datetime | None] = {**changes, "updated_at": ids.now()}
            album = msgspec.structs.replace(album, **changed)
            try:
                return await self.shelf.put(album, revision), album
            except WrongSequence:  # another replica; they do not meet again at once
                await asyncio.sleep(random.uniform(0, PAUSE_S))  # noqa: S311  no secret
        raise WrongSequence(f"album {album_id}: others change it faster than this can")

    async def _check(self, image_ids: Sequence[str]) -> None:
        """Raise `Rejected` 404 or 410 for a picture that is not there."""
        room = asyncio.Semaphore(TOGETHER)

        async def one(image_id: str) -> None:
            async with room:
                if await self._edits.last_upload(image_id) is None:
                    gone = await self._bus.latest(f"images.v1.{image_id}.deleted")
                    raise unknown_image(image_id) if gone is None else image_deleted(image_id)

        await asyncio.gather(*(one(name) for name in image_ids))

    async def _say(
        self,
        album_id: str,
        members: Sequence[Member],
        *,
        orders: Mapping[str, float],
        remove: Sequence[str],
    ) -> None:
        known = {member.image_id: member for member in members}
        room = asyncio.Semaphore(TOGETHER)

        async def say(image_id: str, *, removed: bool) -> None:
            member = known.get(image_id) or Member(image_id=image_id, order=0.0)
            order = orders.get(image_id, member.order)
            async with room:
                await self._publish(
                    album_id,
                    msgspec.structs.replace(member, order=order),
                    cover=member.cover and not removed,
                    removed=removed,
                )

        changed = [n for n, order in orders.items() if n not in known or known[n].order != order]
        await asyncio.gather(
            *(say(name, removed=False) for name in changed),
            *(say(name, removed=True) for name in remove if name in known),
        )

    async def _publish(
        self, album_id: str, member: Member, *, cover: bool, removed: bool = False
    ) -> None:
        fact = Collected(
            image_id=member.image_id,
            album_id=album_id,
            collected_at=ids.now(),
            order=member.order,
            cover=cover,
            removed=removed,
        )
        try:
            await self._bus.publish(fact)
        except ImageDeleted:
            if not removed:
                raise image_deleted(member.image_id) from None


def _text(name: str, text: str, most: int) -> str:
    cleaned = unicodedata.normalize("NFC", text).strip()
    if not cleaned or any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in cleaned):
        raise Rejected(
            400, "invalid_request", f"{name} is empty or has control characters", actual=text[:100]
        )
    if len(cleaned) > most:
        raise _limit(f"characters of {name}", most, len(cleaned))
    return cleaned


def _description(text: str | None) -> str | None:
    return None if text is None or not text.strip() else _text("description", text, MAX_DESCRIPTION)


def _limit(limit: str, allowed: int, actual: int) -> Rejected:
    return Rejected(
        400,
        "limit_exceeded",
        f"{limit} is {allowed}, this would be {actual}",
        limit=limit,
        allowed=allowed,
        actual=actual,
    )
