"""Edits by people: a fact published over exactly the state it was made from.

The log decides, not the read model: it is asked for the state that is edited, so that an edit
made a moment ago (by any replica) is never lost, and an image uploaded a moment ago can be
edited before MongoDB has heard of it.
"""

from __future__ import annotations

import asyncio
import unicodedata
from typing import Annotated as Bounded
from typing import TypeVar, cast

import msgspec
from imagesystem import ids
from imagesystem.bus import Bus, Received
from imagesystem.errors import Rejected, WrongSequence
from imagesystem.events import Annotated, Deleted, Fact, Place, Uploaded
from msgspec import UNSET, Meta, UnsetType

from metadata_service.documents import Document
from metadata_service.etags import Precondition
from metadata_service.folding import fold
from metadata_service.settings import Settings

__all__ = ["Change", "Edit", "Edited", "Edits", "Position", "image_deleted", "unknown_image"]

F = TypeVar("F", bound=Fact)
E = TypeVar("E", bound="Edit")

#: How often an edit without If-Match is put on top of somebody else's before giving up.
ATTEMPTS = 10


class Position(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it was taken: degrees north and east (WGS 84)."""

    latitude: Bounded[float, Meta(ge=-90, le=90)]
    longitude: Bounded[float, Meta(ge=-180, le=180)]


class Edit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change: fields that are left out stay as they are, null clears.

    `rating`: 0 to 5; `position`: a null one is where the camera says it was.
    """

    tags: list[str] | UnsetType = UNSET
    caption: str | UnsetType | None = UNSET
    rating: Bounded[int, Meta(ge=0, le=5)] | UnsetType | None = UNSET
    favourite: bool | UnsetType = UNSET
    position: Position | UnsetType | None = UNSET


class Change(Edit, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of many pictures: besides, tags that each gets or loses, if it has not."""

    add_tags: list[str] = []
    remove_tags: list[str] = []


#: What an edit replaces.
FIELDS = Edit.__struct_fields__


class Edited(msgspec.Struct, frozen=True, kw_only=True):
    """The annotations after an edit, their sequence (0: never any) and the image as it then is.

    `document` is made of the upload and the annotations alone: what can be said before the read
    model has caught up.
    """

    sequence: int
    document: Document


class Edits:
    """Publishes edits."""

    def __init__(self, bus: Bus, settings: Settings) -> None:
        self._bus = bus
        self._settings = settings

    async def edit(self, image_id: str, edit: Edit, precondition: Precondition) -> Edited:
        """Publish the annotations as `edit` leaves them; nothing when that changes nothing.

        Raises `Rejected`: 404 or 410 for an image that is not there, 412 when the
        precondition does not hold, 400 for tags or a caption beyond the limits.
        """
        cleaned = self.cleaned(edit)
        for _ in range(ATTEMPTS):
            upload, last = await self._current(image_id)
            # What is older than the upload is about a picture that was deleted since.
            held = last if last and last.sequence > upload.sequence else None
            precondition.check(held.sequence if held else 0)
            after = self._edited(upload.event, held.event if held else None, cleaned)
            if after is None:
                return _told(upload, held)
            try:
                said = await self._bus.publish(after, expected=last.sequence if last else 0)
            except WrongSequence:
                continue
            return _told(upload, _as_received(after, said.sequence))
        raise WrongSequence(f"{image_id}: others edit it faster than this can be added")

    async def changes(self, image_id: str, edit: Edit) -> bool:
        """Say whether an edit would change anything; raises `Rejected` as `edit` does."""
        upload, last = await self._current(image_id)
        held = last.event if last and last.sequence > upload.sequence else None
        return self._edited(upload.event, held, self.cleaned(edit)) is not None

    async def last_upload(self, image_id: str) -> Received[Uploaded] | None:
        """Return the upload that the log has of an image, however far the read model is."""
        return await self._latest(image_id, Uploaded)

    async def _current(
        self, image_id: str
    ) -> tuple[Received[Uploaded], Received[Annotated] | None]:
        upload, held, tombstone = await asyncio.gather(
            self.last_upload(image_id),
            self._latest(image_id, Annotated),
            self._latest(image_id, Deleted),
        )
        if tombstone and (upload is None or upload.sequence < tombstone.sequence):
            raise image_deleted(image_id)
        if upload is None:
            raise unknown_image(image_id)
        return upload, held

    async def _latest(self, image_id: str, kind: type[F]) -> Received[F] | None:
        found = await self._bus.latest(f"images.v1.{image_id}.{kind.kind}")
        return cast("Received[F] | None", found)  # one type per subject

    def cleaned(self, edit: E) -> E:
        """Return the edit as it is published; raises `Rejected` 400 for what is beyond limits."""
        tags, caption = edit.tags, edit.caption
        if tags is not UNSET:
            tags = self._clean_tags(tags)
        if isinstance(caption, str):
            caption = self._clean_caption(caption)
        cleaned = msgspec.structs.replace(edit, tags=tags, caption=caption)
        if isinstance(cleaned, Change):
            lists = (self._clean_tags(each) for each in (cleaned.add_tags, cleaned.remove_tags))
            add_tags, remove_tags = lists
            cleaned = msgspec.structs.replace(cleaned, add_tags=add_tags, remove_tags=remove_tags)
        return cleaned

    def _edited(self, upload: Uploaded, held: Annotated | None, edit: Edit) -> Annotated | None:
        """Return the whole state of the annotations after the edit, None if it is what it was."""
        before = held or Annotated(
            image_id=upload.image_id, tags=upload.tags, annotated_at=upload.uploaded_at
        )
        given = {name: getattr(edit, name) for name in FIELDS}
        given = {name: value for name, value in given.items() if value is not UNSET}
        if isinstance(edit.position, Position):
            place = Place(latitude=edit.position.latitude, longitude=edit.position.longitude)
            # Where the camera says it was is known, as when an export comes back.
            known = before.position is None and place == _by_camera(upload)
            given["position"] = None if known else place
        if isinstance(edit, Change) and (edit.add_tags or edit.remove_tags):
            tags = [*given.get("tags", before.tags), *edit.add_tags]
            given["tags"] = list(dict.fromkeys(t for t in tags if t not in edit.remove_tags))
            _within("MAX_TAGS", self._settings.max_tags, len(given["tags"]))
        after = msgspec.structs.replace(before, **given)
        if after == before:
            return None
        return msgspec.structs.replace(after, annotated_at=ids.now())

    def _clean_tags(self, tags: list[str]) -> list[str]:
        """Return the tags composed (NFC), trimmed, each once, in the order given."""
        cleaned = [unicodedata.normalize("NFC", tag).strip() for tag in tags]
        for tag in cleaned:
            if not tag or any(map(_is_control, tag)):
                raise Rejected(
                    400, "invalid_tag", f"{tag[:100]!r} is empty or has control characters"
                )
            _within("MAX_TAG_CHARACTERS", self._settings.max_tag_characters, len(tag))
        _within("MAX_TAGS", self._settings.max_tags, len(tags))
        return list(dict.fromkeys(cleaned))

    def _clean_caption(self, caption: str) -> str | None:
        cleaned = unicodedata.normalize("NFC", caption).strip()
        if any(
            unicodedata.category(letter) == "Cc" and letter not in "\n\r\t" for letter in caption
        ):
            raise Rejected(400, "invalid_caption", "the caption has control characters")
        _within("MAX_CAPTION_CHARACTERS", self._settings.max_caption_characters, len(cleaned))
        return cleaned or None


def _by_camera(upload: Uploaded) -> Place | None:
    gps = upload.exif.gps if upload.exif else None
    return Place(latitude=gps.latitude, longitude=gps.longitude) if gps else None


def _is_control(letter: str) -> bool:
    return unicodedata.category(letter) == "Cc"


def _as_received(event: Annotated, sequence: int) -> Received[Annotated]:
    return Received(
        event=event, subject=event.subject, sequence=sequence, published_at=event.annotated_at
    )


def _told(upload: Received[Uploaded], held: Received[Annotated] | None) -> Edited:
    document = fold(None, upload.event, upload.sequence)
    if held is not None:
        document = fold(document, held.event, held.sequence) or document
    assert document is not None  # noqa: S101  the first fact always makes a document
    return Edited(sequence=held.sequence if held else 0, document=document)


def _within(limit: str, allowed: int, actual: int) -> None:
    if actual > allowed:
        raise Rejected(
            400,
            "limit_exceeded",
            f"{limit} is {allowed}, this has {actual}",
            limit=limit,
            allowed=allowed,
            actual=actual,
        )


def unknown_image(image_id: str) -> Rejected:
    """Return the answer for an image that nobody uploaded."""
    return Rejected(404, "unknown_image", f"there is no image {image_id}")


def image_deleted(image_id: str) -> Rejected:
    """Return the answer for an image that was deleted."""
    return Rejected(410, "image_deleted", f"image {image_id} was deleted")
