"""Says which pictures are duplicates: one process at a time, each fact over the one before.

All replicas know the same and would say the same. The lease spares them the trouble; that two may
hold it for a moment does no harm, for what is said names the sequence of what it replaces.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import islice
from typing import cast

from imagesystem import ids, logs
from imagesystem.bus import Bus
from imagesystem.errors import ImageSystemError, WrongSequence
from imagesystem.events import Grouped

from metadata_service.duplicates.groups import Duplicates
from metadata_service.similarity.looks import Looks
from metadata_service.webhooks.lease import RENEW_S, Lease

__all__ = ["Herald"]

log = logs.get(__name__)

#: Facts said at once.
TOGETHER = 32
FAILED_S = 1.0


class Herald:
    """Says what `duplicates` has unsaid; `behind` says why what there is, is not yet known."""

    def __init__(
        self,
        bus: Bus,
        duplicates: Duplicates,
        looks: Looks,
        lease: Lease,
        behind: Callable[[], str | None],
    ) -> None:
        self._bus = bus
        self._duplicates = duplicates
        self._looks = looks.by_id
        self._lease = lease
        self._behind = behind

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Say what is to be said until the block is left."""
        saying = asyncio.create_task(self._say_on(), name="duplicates")
        try:
            yield
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)
            with suppress(ImageSystemError):
                await self._lease.release()

    async def _say_on(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RENEW_S):
                    await self._duplicates.news.wait()
            self._duplicates.news.clear()
            try:
                while await self._lease.hold() and self._behind() is None:
                    if not await self._say_some():
                        break
            except ImageSystemError as error:
                log.info("duplicates_wait", why=error.message)
                await asyncio.sleep(FAILED_S)
            except Exception:
                log.exception("duplicates_not_said")
                await asyncio.sleep(FAILED_S)

    async def _say_some(self) -> bool:
        """Say a few facts; returns whether there were any."""
        async with self._duplicates.sorting:
            some = list(islice(self._duplicates.unsaid, TOGETHER))
            wanted = {name: self._duplicates.wanted(name) for name in some}
        await asyncio.gather(*(self._say(name, *wanted[name]) for name in some))
        async with self._duplicates.sorting:
            for name in some:
                self._duplicates.compare(name)
        return bool(some)

    async def _say(self, image_id: str, group: str | None, keeper: str | None) -> None:
        look = self._looks[image_id]
        fact = Grouped(image_id=image_id, grouped_at=ids.now(), group=group, keeper=keeper)
        try:
            said = await self._bus.publish(fact, expected=look.grouped)
        except WrongSequence:
            # Another was faster, and will be heard; or the subject went with an earlier life.
            held = await self._bus.latest(fact.subject)
            if held is None:
                look.grouped = 0
                return
            other, sequence = cast("Grouped", held.event), held.sequence  # one type per subject
            current = sequence > look.uploaded
            group, keeper = (other.group, other.keeper) if current else (None, None)
        else:
            sequence = said.sequence
        if sequence >= look.grouped:
            look.grouped, look.group, look.keeper = sequence, group, keeper
