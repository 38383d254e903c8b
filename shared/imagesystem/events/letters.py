"""Dead letters: what could not be handled, with everything needed to handle it later."""

from __future__ import annotations

import hashlib

import msgspec

from imagesystem.events.moments import Moment

__all__ = ["DeadLetter", "letter_id"]


def letter_id(consumer: str, stream: str, sequence: int) -> str:
    """Return the id of the letter for one message of one consumer: always the same one.

    Parking the same message twice (a crash between publish and term) makes one letter.
    """
    return hashlib.sha256(f"{consumer}/{stream}/{sequence}".encode()).hexdigest()[:24]


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that `consumer` gave up on; `payload` is the whole body."""

    letter_id: str
    consumer: str
    stream: str
    sequence: int
    message_subject: str
    headers: dict[str, str]
    payload: bytes
    code: str
    error: str
    message: str
    attempts: int
    first_at: Moment
    last_at: Moment
    traceback: str = ""
    image_id: str | None = None

    @property
    def subject(self) -> str:
        """Where this letter is published."""
        return f"dead.v1.{self.consumer}.{self.letter_id}"
