"""Letters as people and programs see them."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any, Literal

import msgspec

from imagesystem.dead_letters.port import Page, Summary
from imagesystem.dead_letters.requests import Requested
from imagesystem.events import DeadLetter

__all__ = [
    "LetterList",
    "LetterView",
    "ReplayAccepted",
    "ReplaysAccepted",
    "accepted",
    "accepted_all",
    "letter_list",
    "letter_view",
]


class LetterList(msgspec.Struct, frozen=True, kw_only=True):
    """A page; `next`: the cursor of the page after it, null on the last.

    A page may have fewer than `limit` items and a `next`: so much was looked through for it.
    """

    items: list[Summary]
    next: str | None
    count: int


class LetterView(msgspec.Struct, frozen=True, kw_only=True):
    """A letter with all that it holds.

    `payload`: the message's whole body: as it is if that is JSON, else base64 in a string;
    `payload_encoding` says which. `said_at`: when the message was published; `first_at`,
    `last_at`: when the first attempt began and the last one ended.
    """

    id: str
    consumer: str
    code: str
    error: str
    message: str
    traceback: str
    attempts: int
    said_at: datetime | None
    first_at: datetime
    last_at: datetime
    image_id: str | None
    subject: str
    stream: str
    sequence: int
    headers: dict[str, str]
    payload: Any
    payload_encoding: Literal["json", "base64"]
    payload_bytes: int


class ReplayAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """The letter will be replayed; `requested`: false if that had been asked for before."""

    id: str
    consumer: str
    requested: bool


class ReplaysAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of asking for many replays.

    `requested`: letters that will be replayed; `waiting`: those whose replay was asked for
    before; `unknown`: those of consumers that are no more; `next`: the cursor to go on with, null
    when that was all.
    """

    requested: int
    waiting: int
    unknown: int
    next: str | None


def letter_list(page: Page) -> LetterList:
    """Return the view of a page."""
    return LetterList(items=page.letters, next=_cursor(page.next), count=len(page.letters))


def letter_view(letter: DeadLetter) -> LetterView:
    """Return the view of a letter."""
    json = _is_json(letter.payload)
    return LetterView(
        id=letter.letter_id,
        consumer=letter.consumer,
        code=letter.code,
        error=letter.error,
        message=letter.message,
        traceback=letter.traceback,
        attempts=letter.attempts,
        said_at=letter.said_at,
        first_at=letter.first_at,
        last_at=letter.last_at,
        image_id=letter.image_id,
        subject=letter.message_subject,
        stream=letter.stream,
        sequence=letter.sequence,
        headers=letter.headers,
        # verbatim: big numbers and repeated keys stay what they are
        payload=msgspec.Raw(letter.payload) if json else base64.b64encode(letter.payload).decode(),
        payload_encoding="json" if json else "base64",
        payload_bytes=len(letter.payload),
    )


def _is_json(payload: bytes) -> bool:
    try:
        msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def accepted(letter: DeadLetter, requested: bool) -> ReplayAccepted:
    """Return the view of a replay that was asked for."""
    return ReplayAccepted(id=letter.letter_id, consumer=letter.consumer, requested=requested)


def accepted_all(asked: Requested) -> ReplaysAccepted:
    """Return the view of many replays that were asked for."""
    return ReplaysAccepted(
        requested=asked.requested,
        waiting=asked.waiting,
        unknown=asked.unknown,
        next=_cursor(asked.next),
    )


def _cursor(position: int | None) -> str | None:
    return None if position is None else str(position)
