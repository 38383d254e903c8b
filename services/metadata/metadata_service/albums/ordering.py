"""Orders as numbers: what is put between two gets a number between theirs. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

__all__ = ["Member", "moved"]

#: Nearer than that, two numbers have none between them that can be relied on.
LEAST_GAP = 1e-6


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A picture of an album: its number, whether it is the cover, and since which sequence."""

    image_id: str
    order: float
    cover: bool = False
    sequence: int = 0


def moved(
    members: Sequence[Member], image_ids: Sequence[str], before: str | None
) -> dict[str, float]:
    """Return the numbers that are to change, for pictures to stand together where they shall.

    `members`: in their order; `image_ids`: there already or not; `before`: the picture that
    follows them, None: the end. Where no room is left between two, all are numbered anew.
    """
    moving = set(image_ids)
    rest = [member for member in members if member.image_id not in moving]
    place = next((n for n, each in enumerate(rest) if each.image_id == before), len(rest))
    low = rest[place - 1].order if place else None
    high = rest[place].order if place < len(rest) else None
    if high is None:
        start = 0.0 if low is None else low
        return {name: start + number for number, name in enumerate(image_ids, start=1)}
    if low is None:
        low = high - len(image_ids) - 1
    step = (high - low) / (len(image_ids) + 1)
    if step >= LEAST_GAP:
        return {name: low + number * step for number, name in enumerate(image_ids, start=1)}
    every = [each.image_id for each in rest[:place]]
    every += [*image_ids, *(each.image_id for each in rest[place:])]
    return {name: float(number) for number, name in enumerate(every, start=1)}
