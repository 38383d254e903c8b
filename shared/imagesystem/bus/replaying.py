"""Replays: a dead letter goes back to the one consumer that gave up on it.

A replay is a command with the letter's id; the message itself is read from the letter. The same
handler gets it as it was, with its own sequence, so that a read model sees how old it is. When
it succeeds the letter goes, when it fails it is a letter again: under the same id, with all
attempts counted.
"""

from __future__ import annotations

import asyncio

import msgspec

from imagesystem import logs
from imagesystem.bus.messages import Delivery
from imagesystem.bus.port import Bus, Consumption, GaveUp, Handler, Received
from imagesystem.errors import ImageDeleted, Permanent, UndecodableEvent
from imagesystem.events import DeadLetter, Event
from imagesystem.topology import Consumer

__all__ = ["Replays", "WithReplays"]

log = logs.get(__name__)


class Replays:
    """What a consumer's replay durable does: `handle`, `gave_up` and `park` go to its loop."""

    def __init__(
        self, bus: Bus, consumer: Consumer, handler: Handler, gave_up: GaveUp | None
    ) -> None:
        self._bus = bus
        self._consumer = consumer
        self._handler = handler
        self._gave_up = gave_up

    async def handle(self, received: Received[Event]) -> None:
        """Let the handler try again what is in the letter; the letter goes if it succeeds."""
        letter = await self._letter(received.subject)
        if letter is None:
            log.info("replay_without_letter", subject=received.subject)
            return  # discarded, or replayed by somebody else
        if await self._superseded(letter):
            log.info("replay_superseded", letter_id=letter.letter_id)
        else:
            try:
                await self._handler(_message(letter, received.attempts))
            except ImageDeleted:
                log.info("replay_of_deleted", letter_id=letter.letter_id)
            else:
                log.info("replay_succeeded", letter_id=letter.letter_id)
        await self._bus.publish(msgspec.structs.replace(letter, payload=b"", resolved=True))

    async def gave_up(self, received: Received[Event], error: Permanent, attempts: int) -> None:
        """Say once more that the stage failed, as it was said when the letter was written."""
        letter = await self._letter(received.subject)
        if letter is None or self._gave_up is None:
            return
        if not isinstance(error, UndecodableEvent):
            await self._gave_up(_message(letter, attempts), error, letter.attempts)

    async def park(self, failure: DeadLetter) -> None:
        """Write the letter again: `failure` is what would be that of the command."""
        letter = await self._letter(failure.message_subject)
        if letter is None:
            log.warning("replay_without_letter", subject=failure.message_subject)
            return
        await self._bus.publish(
            msgspec.structs.replace(
                letter,
                code=failure.code,
                error=failure.error,
                message=failure.message,
                traceback=failure.traceback,
                attempts=letter.attempts + failure.attempts,
                last_at=failure.last_at,
            )
        )

    async def _letter(self, command: str) -> DeadLetter | None:
        """Return the letter that a command's subject is about, None if it is gone."""
        number = command.rpartition(".")[2]
        found = await self._bus.latest(f"dead.v1.{self._consumer.name}.{number}")
        letter = found.event if found is not None else None
        return letter if isinstance(letter, DeadLetter) and not letter.resolved else None

    async def _superseded(self, letter: DeadLetter) -> bool:
        """Whether the letter's fact is not the latest on its subject any more.

        The consumer has got the newer one. An older tombstone, above all, must not delete what
        was uploaded since.
        """
        if not letter.message_subject.startswith("images."):
            return False
        try:
            latest = await self._bus.latest(letter.message_subject)
        except UndecodableEvent:  # the one in the letter or its successor: the handler will say
            return False
        return latest is None or latest.sequence != letter.sequence


def _message(letter: DeadLetter, attempts: int) -> Received[Event]:
    return Delivery(
        subject=letter.message_subject,
        body=letter.payload,
        sequence=letter.sequence,
        attempts=attempts,
        published_at=letter.said_at or letter.first_at,
        headers=letter.headers,
    ).decoded()


class WithReplays:
    """A consumer and its replays, stopped together."""

    def __init__(self, news: Consumption, replays: Consumption) -> None:
        self._both = (news, replays)

    @property
    def healthy(self) -> str | None:
        """None while both work, else one line that says what is waited for."""
        return next((one.healthy for one in self._both if one.healthy), None)

    async def stop(self) -> None:
        """Stop both; see `Consumption.stop`."""
        await asyncio.gather(*(one.stop() for one in self._both))
