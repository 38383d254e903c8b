"""The in-memory twin of dead letters, on the log of the in-memory bus. For tests."""

from __future__ import annotations

from imagesystem.bus.memory import MemoryBus
from imagesystem.dead_letters.port import Page, Summary, Wanted, summary_of
from imagesystem.events import DeadLetter

__all__ = ["MemoryLetters"]


class MemoryLetters:
    """See `imagesystem.dead_letters.Letters`."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus

    async def _all(self) -> list[tuple[DeadLetter, int]]:
        await self._bus.latest("dead.v1.x.x")  # raises what a stopped server would
        return [
            (received.event, received.sequence)
            for received in self._bus.log.values()
            if isinstance(received.event, DeadLetter)
        ]

    async def page(self, wanted: Wanted, *, before: int | None = None, limit: int = 50) -> Page:
        """See `Letters.page`."""
        found: list[Summary] = [
            summary_of(letter, position)
            for letter, position in sorted(await self._all(), key=lambda pair: -pair[1])
            if wanted.met_by(letter) and (before is None or position < before)
        ]
        following = found[limit - 1].position if len(found) > limit else None
        return Page(letters=found[:limit], next=following)

    async def get(self, letter_id: str) -> DeadLetter | None:
        """See `Letters.get`."""
        return next((one for one, _ in await self._all() if one.letter_id == letter_id), None)

    async def discard(self, letter_id: str) -> bool:
        """See `Letters.discard`."""
        letter = await self.get(letter_id)
        return letter is not None and self._bus.log.pop(letter.subject, None) is not None
