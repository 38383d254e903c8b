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
    """A message that `consumer` gave up on; `payload` is the whole body.

    `said_at`: when the message was published; `first_at`: when the first attempt began that the
    process knows of which gave up (else `said_at`); `last_at`: when the last one ended.
    `attempts`, of all replays as well. `resolved` is true in the last message about a letter that
    a replay has settled: it takes the letter's place for a second, and both are gone.
    """

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
    said_at: Moment | None = None
    resolved: bool = False

    @property
    def subject(self) -> str:
        """Where this letter is published."""
        return f"dead.v1.{self.consumer}.{self.letter_id}"
