"""Who rebuilds: when it was asked for, and when the documents were lost.

One process at a time works on a rebuild, under a lease; one that lost the lease without noticing
does no harm. What a process leaves unfinished, another one (or the same, started again) continues.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from imagesystem import ids, logs
from imagesystem.bus import Bus
from imagesystem.errors import Transient

from metadata_service.rebuilds.records import Reason, Rebuild
from metadata_service.rebuilds.steps import LeaseLost, Rebuilding
from metadata_service.store import Store

__all__ = ["Rebuilder"]

log = logs.get(__name__)

#: Between looks for a rebuild that was asked for elsewhere, or documents that were lost.
LOOK_EVERY_S = 2.0
#: … while it is not ready for want of documents: who waits for that should not wait for looks.
UNREADY_LOOK_S = 0.2
FILLING = "documents are missing, or not known to be complete, and are read from the log again"
#: A process that does not renew its lease for so long has lost it.
LEASE_S, RENEW_EVERY_S = 10.0, 2.0


class Rebuilder:
    """Rebuilds when asked to, and when the documents were lost.

    `prepared` says what is missing before the database can be used at all.
    """

    def __init__(
        self,
        store: Store,
        bus: Bus,
        prepared: Callable[[], Awaitable[str | None]],
        *,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._store = store
        self._editions = store.editions
        self._bus = bus
        self._prepared = prepared
        self._look_every_s = look_every_s
        self._holder = ids.new_id()
        self._asked = asyncio.Event()
        self._rebuilding = Rebuilding(store, bus, self._holder, self._told)
        self._new = False
        self._missing: str | None = "it is not known yet whether all documents are there"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Rebuilder]:
        """Look for work and do it until the block is left; what is unfinished is continued.

        To be entered before facts are heard: what was not said by then, the consumer will bring.
        """
        self._new = await self._nothing_was_said()
        looking = asyncio.create_task(self._look_on(), name="rebuild")
        try:
            yield self
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    def check(self) -> str | None:
        """Return one line while documents are missing, for `/health/ready`."""
        return self._missing

    async def ask(self, reason: Reason, *, accept_loss: bool = False) -> tuple[Rebuild, bool]:
        """Ask for a rebuild; return it, or the one under way, and whether it is new."""
        now = ids.now()
        wanted = Rebuild(
            rebuild_id=ids.new_id(),
            reason=reason,
            accept_loss=accept_loss,
            requested_at=now,
            updated_at=now,
            # No writer that has read what is replaced holds such a version.
            first_version=int(now.timestamp() * 1000) << 20,
        )
        begun = await self._editions.begin(wanted)
        self._asked.set()
        return begun, begun.rebuild_id == wanted.rebuild_id

    async def find(self, rebuild_id: str) -> Rebuild | None:
        """Return a rebuild, one of the last twenty."""
        return await self._editions.find(rebuild_id)

    async def latest(self) -> list[Rebuild]:
        """Return the last rebuilds, newest first."""
        return await self._editions.latest()

    async def _look_on(self) -> None:
        while True:
            try:
                if await self._prepared() is None:
                    await self._look()
            except Transient as error:
                log.info("rebuild_waits", why=error.message)
            except Exception:
                log.exception("rebuild_interrupted")
            with suppress(TimeoutError):
                soon = min(self._look_every_s, UNREADY_LOOK_S)
                async with asyncio.timeout(soon if self._missing else self._look_every_s):
                    await self._asked.wait()
            self._asked.clear()

    async def _look(self) -> None:
        if await self._editions.whole():
            self._missing, self._new = None, False
        elif self._new or await self._nothing_was_said():
            await self._editions.mark_whole()
            self._missing, self._new = None, False
        else:
            self._missing = FILLING
            _, new = await self.ask("documents_lost")
            if new:
                log.warning("documents_lost")
        rebuild = await self._editions.claim(self._holder, LEASE_S)
        if rebuild is not None:
            await self._held(rebuild)
            if await self._editions.whole():
                self._missing = None

    async def _nothing_was_said(self) -> bool:
        try:
            return await self._bus.head() == 0
        except Transient:
            return False  # not known, so looked at again

    async def _held(self, rebuild: Rebuild) -> None:
        """Work on it for as long as the lease is ours."""
        working = asyncio.create_task(
            self._rebuilding.work(rebuild), name=f"rebuild {rebuild.rebuild_id}"
        )
        renewing = asyncio.create_task(self._renew(), name="rebuild-lease")
        try:
            await asyncio.wait({working, renewing}, return_when="FIRST_COMPLETED")
            if working.done():
                working.result()
        except LeaseLost:
            log.warning("rebuild_taken_over", rebuild_id=rebuild.rebuild_id)
        finally:
            for task in (working, renewing):
                task.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)

    async def _renew(self) -> None:
        """Return when the lease is lost, or could not be renewed for as long as it lasts."""
        renewed = time.monotonic()
        while time.monotonic() - renewed < LEASE_S:
            await asyncio.sleep(RENEW_EVERY_S)
            with suppress(Transient):
                if not await self._editions.renew(self._holder, LEASE_S):
                    return
                renewed = time.monotonic()

    def _told(self, rebuild: Rebuild) -> None:
        if self._missing is not None:
            self._missing = f"{FILLING}: {rebuild.facts} facts, {rebuild.pending} to go"
