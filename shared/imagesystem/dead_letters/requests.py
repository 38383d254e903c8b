"""Asking for replays: a command for each letter, to the one consumer that gave up on it."""

from __future__ import annotations

import msgspec

from imagesystem import ids
from imagesystem.bus import Bus
from imagesystem.dead_letters.port import Letters, Wanted
from imagesystem.errors import Rejected
from imagesystem.events import Replay
from imagesystem.topology import CONSUMERS

__all__ = ["MOST", "Requested", "request_replay", "request_replays"]

#: Letters whose replay is asked for at once at most.
MOST = 1000
PAGE = 200


class Requested(msgspec.Struct, frozen=True, kw_only=True):
    """What became of asking for many replays.

    `requested`: letters that will be replayed; `waiting`: those whose replay was asked for
    before, and has not ended; `unknown`: those of consumers that are no more; `next`: what to give
    as `before` to ask for those that follow, or None.
    """

    requested: int
    waiting: int
    unknown: int
    next: int | None = None


async def request_replay(bus: Bus, consumer: str, letter_id: str) -> bool:
    """Ask for the replay of a letter; False if it was asked for before and has not ended.

    Raises `Rejected` 409 `unknown_consumer`: nobody would ever hear it.
    """
    if consumer not in CONSUMERS:
        raise Rejected(
            409,
            "unknown_consumer",
            f"there is no consumer {consumer!r} any more; there are: {', '.join(CONSUMERS)}",
        )
    command = Replay(consumer=consumer, letter_id=letter_id, requested_at=ids.now())
    if await bus.latest(command.subject) is not None:
        return False
    await bus.publish(command)
    return True


async def request_replays(
    bus: Bus,
    letters: Letters,
    wanted: Wanted,
    *,
    before: int | None = None,
    most: int = MOST,
) -> Requested:
    """Ask for replays of what is wanted, of `most` letters at most, newest first."""
    counts = {"requested": 0, "waiting": 0, "unknown": 0}
    while (looked := sum(counts.values())) < most:
        page = await letters.page(wanted, before=before, limit=min(PAGE, most - looked))
        for letter in page.letters:
            if letter.consumer not in CONSUMERS:
                counts["unknown"] += 1
            elif await request_replay(bus, letter.consumer, letter.letter_id):
                counts["requested"] += 1
            else:
                counts["waiting"] += 1
        before = page.next
        if before is None:
            break
    return Requested(**counts, next=before)
