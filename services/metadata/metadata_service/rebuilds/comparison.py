"""Two editions compared, document by document, in memory that does not grow with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal, NamedTuple

from metadata_service.rebuilds.digests import Sum, state_digest
from metadata_service.rebuilds.records import Difference, Fingerprint
from metadata_service.store import Edition

__all__ = ["LISTED", "Comparison", "compare"]

#: Differences that are told one by one; those beyond are counted.
LISTED = 1000
#: Documents read from an edition at once.
PAGE = 500
#: How often what differs is looked at again, while facts that arrive reach one before the other.
LOOKS, LOOK_EVERY_S = 20, 0.2
#: So many looks in a row at which nothing moved, and what differs differs.
UNMOVED = 3


class Comparison:
    """What two editions say: fingerprints, and the images about which they differ."""

    def __init__(self) -> None:
        self._sums = (Sum(), Sum())
        self.listed: dict[str, tuple[bytes | None, bytes | None]] = {}
        self._unlisted = 0
        self.only_before = 0

    def add(self, image_id: str, before: bytes | None, after: bytes | None) -> None:
        """Count an image, with the digests of its documents."""
        self._sums[0].add(before)
        self._sums[1].add(after)
        if before == after:
            return
        self.only_before += after is None
        if len(self.listed) < LISTED:
            self.listed[image_id] = (before, after)
        else:
            self._unlisted += 1

    def look_again(self, image_id: str, before: bytes | None, after: bytes | None) -> None:
        """Count a listed image as it is now."""
        held = self.listed.pop(image_id)
        self.only_before -= held[1] is None
        for total, digest in zip(self._sums, held, strict=True):
            total.take_out(digest)
        self.add(image_id, before, after)

    @property
    def before(self) -> Fingerprint:
        """The documents of the first edition."""
        return Fingerprint(documents=self._sums[0].count, digest=self._sums[0].hex)

    @property
    def after(self) -> Fingerprint:
        """The documents of the second edition."""
        return Fingerprint(documents=self._sums[1].count, digest=self._sums[1].hex)

    @property
    def differing(self) -> int:
        """How many images differ."""
        return len(self.listed) + self._unlisted

    @property
    def differences(self) -> list[Difference]:
        """The first of the images that differ."""
        return [
            Difference(image_id=name, kind=_kind(before, after))
            for name, (before, after) in sorted(self.listed.items())
        ]


def _kind(
    before: bytes | None, after: bytes | None
) -> Literal["only_before", "only_after", "state"]:
    if after is None:
        return "only_before"
    return "only_after" if before is None else "state"


class _Found(NamedTuple):
    """A document as an edition has it; `failures`: it tells of failures."""

    image_id: str
    digest: bytes
    failures: bool


async def compare(
    one: Edition,
    two: Edition,
    catch_up: Callable[[], Awaitable[None]],
    mend: Callable[[str], Awaitable[bytes | None]],
) -> Comparison:
    """Compare all documents; `catch_up` brings `two` to the end of the log.

    What differs is looked at again, as facts may have reached one and not yet the other; where
    failures are told of, `mend` reads about the image again and returns the new digest.
    """
    comparison = Comparison()
    lefts, rights = _documents(one), _documents(two)
    left, right = await anext(lefts, None), await anext(rights, None)
    while left is not None or right is not None:
        name = min(each.image_id for each in (left, right) if each is not None)
        before = left.digest if left is not None and left.image_id == name else None
        after = right.digest if right is not None and right.image_id == name else None
        if before is not None:
            left = await anext(lefts, None)
        if right is not None and after is not None:
            if after != before and right.failures:
                after = await mend(name)
            right = await anext(rights, None)
        comparison.add(name, before, after)
    unmoved = 0
    for _ in range(LOOKS):
        if not comparison.listed or unmoved == UNMOVED:
            break
        held = dict(comparison.listed)
        await catch_up()
        names = list(comparison.listed)
        befores, afters = await one.stored(names), await two.stored(names)
        for name in names:
            found = befores.get(name), afters.get(name)
            before, after = (None if each is None else state_digest(each) for each in found)
            if after != before and found[1] is not None and found[1]["failed"]:
                after = await mend(name)
            comparison.look_again(name, before, after)
        unmoved = unmoved + 1 if comparison.listed == held else 0
        await asyncio.sleep(LOOK_EVERY_S if comparison.listed else 0)
    return comparison


async def _documents(edition: Edition) -> AsyncIterator[_Found]:
    after = ""
    while page := await edition.scan(after, PAGE):
        for number, stored in enumerate(page):
            if number % 50 == 0:
                await asyncio.sleep(0)  # others are served meanwhile
            yield _Found(stored["_id"], state_digest(stored), bool(stored["failed"]))
        after = page[-1]["_id"]
