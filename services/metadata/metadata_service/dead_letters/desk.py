"""What can be done about dead letters."""

from __future__ import annotations

from imagesystem import logs
from imagesystem.bus import Bus
from imagesystem.dead_letters import (
    Letters,
    Page,
    Requested,
    Wanted,
    request_replay,
    request_replays,
)
from imagesystem.errors import Rejected
from imagesystem.events import DeadLetter

__all__ = ["Desk"]

log = logs.get(__name__)


class Desk:
    """Where somebody reads letters, and says what is to become of them."""

    def __init__(self, bus: Bus, letters: Letters) -> None:
        self._bus = bus
        self._letters = letters

    async def page(self, wanted: Wanted, before: int | None, limit: int) -> Page:
        """Return the newest letters that are wanted, of those before a position."""
        return await self._letters.page(wanted, before=before, limit=limit)

    async def show(self, letter_id: str) -> DeadLetter:
        """Return a letter; raises `Rejected` 404 `unknown_letter`."""
        letter = await self._letters.get(letter_id)
        if letter is None:
            raise _unknown(letter_id)
        return letter

    async def replay(self, letter_id: str) -> tuple[DeadLetter, bool]:
        """Ask for a replay; return the letter, and False if it was asked for already.

        Raises `Rejected` 404 `unknown_letter` or 409 `unknown_consumer`.
        """
        letter = await self.show(letter_id)
        asked = await request_replay(self._bus, letter.consumer, letter.letter_id)
        log.info("replay_requested", letter_id=letter_id, consumer=letter.consumer, again=not asked)
        return letter, asked

    async def replay_all(self, wanted: Wanted, before: int | None) -> Requested:
        """Ask for replays of all letters that are wanted, a bounded number of them."""
        asked = await request_replays(self._bus, self._letters, wanted, before=before)
        log.info("replays_requested", requested=asked.requested, waiting=asked.waiting)
        return asked

    async def discard(self, letter_id: str) -> None:
        """Delete a letter for ever; raises `Rejected` 404 `unknown_letter`."""
        if not await self._letters.discard(letter_id):
            raise _unknown(letter_id)
        log.warning("letter_discarded", letter_id=letter_id)


def _unknown(letter_id: str) -> Rejected:
    return Rejected(
        404, "unknown_letter", f"there is no dead letter {letter_id[:64]!r}: replayed, or discarded"
    )
