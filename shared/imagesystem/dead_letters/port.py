"""The port through which people read dead letters, and throw them away."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec

from imagesystem.events import DeadLetter

__all__ = ["Letters", "Page", "Summary", "Wanted", "summary_of"]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which letters: those that meet all that is given.

    `since` (included) and `until` (excluded) are about the last attempt.
    """

    consumer: str | None = None
    code: str | None = None
    image_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def met_by(self, letter: DeadLetter) -> bool:
        """Whether `letter` is wanted."""
        return (
            self.consumer in (None, letter.consumer)
            and self.code in (None, letter.code)
            and self.image_id in (None, letter.image_id)
            and (self.since is None or letter.last_at >= self.since)
            and (self.until is None or letter.last_at < self.until)
        )


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A letter without its payload, headers and traceback.

    `subject`, `stream` and `sequence` are those of the message; `position` is the letter's own in
    the stream of letters. In JSON it is as people see it in a list.
    """

    letter_id: str = msgspec.field(name="id")
    consumer: str
    code: str
    error: str
    message: str
    attempts: int
    first_at: datetime
    last_at: datetime
    image_id: str | None
    subject: str
    stream: str
    sequence: int
    payload_bytes: int
    position: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Letters, newest first; `next`: what to give as `before` for those that follow, or None.

    A page may have fewer letters than asked for, even none, and yet a `next`: so much was looked
    through for it.
    """

    letters: list[Summary]
    next: int | None = None


class Letters(Protocol):
    """Dead letters in the stream. All calls raise `Unavailable` when NATS does not answer."""

    async def page(self, wanted: Wanted, *, before: int | None = None, limit: int = 50) -> Page:
        """Return the newest letters that are wanted, of those at a position below `before`."""
        ...

    async def get(self, letter_id: str) -> DeadLetter | None:
        """Return a letter with all that it holds, None if there is none of that id."""
        ...

    async def discard(self, letter_id: str) -> bool:
        """Delete a letter for ever; return whether there was one."""
        ...


def summary_of(letter: DeadLetter, position: int) -> Summary:
    """Return the summary of a letter."""
    return Summary(
        letter_id=letter.letter_id,
        consumer=letter.consumer,
        code=letter.code,
        error=letter.error,
        message=letter.message,
        attempts=letter.attempts,
        first_at=letter.first_at,
        last_at=letter.last_at,
        image_id=letter.image_id,
        subject=letter.message_subject,
        stream=letter.stream,
        sequence=letter.sequence,
        payload_bytes=len(letter.payload),
        position=position,
    )
