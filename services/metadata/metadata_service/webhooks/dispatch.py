"""A courier for every webhook, in one process of all replicas: the one that holds the lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from imagesystem import logs
from imagesystem.errors import ImageSystemError

from metadata_service.feeds.tail import Recent
from metadata_service.webhooks.couriers import Courier, Round
from metadata_service.webhooks.lease import RENEW_S, Lease

__all__ = ["Dispatch"]

log = logs.get(__name__)

#: How long a courier that is called back may take to end what it is doing.
PATIENCE_S = 3.0


class _Errand:
    """A courier that is out, and the revision of the webhook it set out for."""

    def __init__(self, courier: Courier, revision: int) -> None:
        self.courier = courier
        self.revision = revision
        self.task = asyncio.create_task(courier.run(), name=f"courier {courier.webhook.webhook_id}")

    async def end(self) -> None:
        """Call the courier back: what it waits for too long is sent again by another."""
        self.courier.stop()
        await asyncio.wait({self.task}, timeout=PATIENCE_S)
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class Dispatch:
    """Sends couriers out while this process holds the lease."""

    def __init__(self, round_: Round, lease: Lease) -> None:
        self._round = round_
        self._lease = lease
        self._errands: dict[str, _Errand] = {}
        self._changed = asyncio.Event()
        round_.log.tail.listen(self._told)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Dispatch]:
        """Deliver until the block is left; then leave the lease to another replica."""
        working = asyncio.create_task(self._work(), name="webhooks")
        try:
            yield self
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await self._call_back(list(self._errands))
            with suppress(ImageSystemError, TimeoutError):
                async with asyncio.timeout(RENEW_S):
                    await self._lease.release()

    def changed(self) -> None:
        """Look at the webhooks now, rather than soon: one was changed."""
        self._changed.set()

    def _told(self, new: list[Recent]) -> None:
        for errand in self._errands.values():
            errand.courier.told(new)

    async def _work(self) -> None:
        while True:
            self._changed.clear()
            try:
                if await self._lease.hold():
                    await self._look()
                else:
                    await self._call_back(list(self._errands))
            except ImageSystemError as error:
                log.debug("webhooks_not_read", why=error.message)
            except Exception:  # must not end deliveries for good
                log.exception("webhooks_failed")
            with suppress(TimeoutError):
                async with asyncio.timeout(RENEW_S):
                    await self._changed.wait()

    async def _look(self) -> None:
        """Have a courier for each enabled webhook as it is now, and for no other."""
        held = await self._round.shelf.all()
        wanted = {
            webhook_id: (revision, webhook)
            for webhook_id, (revision, webhook) in held.items()
            if webhook.enabled
        }
        stale = [
            webhook_id
            for webhook_id, errand in self._errands.items()
            if webhook_id not in wanted or wanted[webhook_id][0] != errand.revision
        ]
        await self._call_back(stale)
        for webhook_id in stale:
            if webhook_id not in held:  # removed; its courier may have written something since
                await self._round.shelf.remove(webhook_id)
        for webhook_id, (revision, webhook) in wanted.items():
            if webhook_id not in self._errands:
                self._errands[webhook_id] = _Errand(Courier(webhook, self._round), revision)

    async def _call_back(self, webhook_ids: list[str]) -> None:
        errands = [self._errands.pop(webhook_id) for webhook_id in webhook_ids]
        await asyncio.gather(*(errand.end() for errand in errands))
