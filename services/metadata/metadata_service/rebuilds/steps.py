"""The steps of a rebuild, from the log to an edition that is served.

Every step can be repeated by whoever takes over: a record in the database says which step is
next and up to which sequence the log is applied. ADR 31 says why nothing is lost or counted
twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import ClassVar

import msgspec
from imagesystem import ids, logs
from imagesystem.bus import Bus
from imagesystem.errors import Transient

from metadata_service.folding import fold_all
from metadata_service.read_model import fold_into
from metadata_service.rebuilds.comparison import compare
from metadata_service.rebuilds.digests import state_digest
from metadata_service.rebuilds.loading import Loader
from metadata_service.rebuilds.records import Phase, Rebuild
from metadata_service.store import Edition, Store

__all__ = ["LeaseLost", "Rebuilding"]

log = logs.get(__name__)

SAVE_EVERY_S = 1.0
#: Begun and not ended so many times, it is given up.
ATTEMPTS = 20
RETRY_S = 1.0


class LeaseLost(Exception):
    """Another process works on the rebuild."""


class Rebuilding:
    """Works on a rebuild that `holder` has claimed; `told` hears how far it has come."""

    def __init__(
        self, store: Store, bus: Bus, holder: str, told: Callable[[Rebuild], None]
    ) -> None:
        self._editions = store.editions
        self._bus = bus
        self._holder = holder
        self._told = told
        self._saved_at = 0.0

    async def work(self, rebuild: Rebuild) -> None:
        """Take every step that is left; raises `LeaseLost`, or what went wrong."""
        log.info("rebuild_begins", rebuild_id=rebuild.rebuild_id, phase=rebuild.phase)
        await self._editions.drop(but=rebuild.rebuild_id)
        while not rebuild.ended:
            try:
                rebuild = await self.STEPS[rebuild.phase](self, rebuild)
            except Transient as error:
                log.info("rebuild_waits", why=error.message)
                await asyncio.sleep(RETRY_S)
                found = await self._reread(rebuild)
                if found is not None:
                    rebuild = found
            except LeaseLost:
                raise
            except Exception as error:
                log.exception("rebuild_failed", rebuild_id=rebuild.rebuild_id)
                if rebuild.attempts < ATTEMPTS:
                    raise
                rebuild = await self._end(rebuild, "failed", f"{type(error).__name__}: {error}")
        log.info(
            "rebuild_ended",
            rebuild_id=rebuild.rebuild_id,
            phase=rebuild.phase,
            facts=rebuild.facts,
            differing=rebuild.differing,
            error=rebuild.error,
        )

    async def _reread(self, rebuild: Rebuild) -> Rebuild | None:
        """Return it as it was saved last: what came after is done again."""
        with suppress(Transient):
            return await self._editions.find(rebuild.rebuild_id)
        return None

    # The steps: each returns the rebuild as the next one finds it.

    async def _wait(self, rebuild: Rebuild) -> Rebuild:
        return await self._save(_at(rebuild, "loading", position=0, facts=0, unread=0))

    async def _load(self, rebuild: Rebuild) -> Rebuild:
        edition = await self._editions.beside(rebuild)
        if edition is None:
            return await self._wait(rebuild)
        rebuild = await self._catch_up(rebuild, edition)
        return await self._save(_at(rebuild, "indexing"))

    async def _index(self, rebuild: Rebuild) -> Rebuild:
        edition = await self._editions.beside(rebuild)
        if edition is None:
            return await self._wait(rebuild)
        await edition.prepare()
        rebuild = await self._catch_up(rebuild, edition)
        return await self._save(_at(rebuild, "comparing"))

    async def _compare(self, rebuild: Rebuild) -> Rebuild:
        edition = await self._editions.beside(rebuild)
        if edition is None:
            return await self._wait(rebuild)

        async def catch_up() -> None:
            nonlocal rebuild
            rebuild = await self._catch_up(rebuild, edition)

        await catch_up()
        found = await compare(
            self._editions.served(), edition, catch_up, lambda name: self._mend(edition, name)
        )
        rebuild = msgspec.structs.replace(
            rebuild,
            before=found.before,
            after=found.after,
            differing=found.differing,
            differences=found.differences,
        )
        if found.only_before and not rebuild.accept_loss:
            return await self._refuse(rebuild, found.only_before)
        # Up to here the log is applied, whatever happens to this process from now on.
        rebuild = await self._catch_up(rebuild, edition)
        return await self._save(_at(rebuild, "swapping"))

    async def _mend(self, edition: Edition, image_id: str) -> bytes | None:
        """Make a document anew from what the log has now; return the digest of its state.

        The word that a failure is over stays in the log for a second only, and may have come and
        gone since the failure was read.
        """
        held = await edition.get(image_id)
        fresh = fold_all(None, await self._bus.facts(image_id))
        if held is not None and fresh is not None and held.seq.keys() > fresh.seq.keys():
            await edition.write([msgspec.structs.replace(fresh, version=held.version)])
        stored = (await edition.stored([image_id])).get(image_id)
        return None if stored is None else state_digest(stored)

    async def _refuse(self, rebuild: Rebuild, lost: int) -> Rebuild:
        await self._editions.drop()
        if not await self._editions.whole():  # what there is has more than the log
            await self._editions.mark_whole()
        return await self._end(
            rebuild,
            "refused",
            f"{lost} images are known here and not in the log: their documents would be gone "
            "(ask with accept_loss if they shall)",
        )

    async def _swap(self, rebuild: Rebuild) -> Rebuild:
        if not await self._editions.serve(rebuild):
            return await self._wait(rebuild)  # the edition is gone: from the beginning
        return await self._save(_at(rebuild, "settling"))

    async def _settle(self, rebuild: Rebuild) -> Rebuild:
        """Apply what was heard between the last catching up and the exchange.

        Whatever was acknowledged for the old documents was said before this reads the head.
        """
        head = await self._bus.head()
        async with aclosing(self._bus.history(after=rebuild.position)) as stretches:
            async for stretch in stretches:
                await fold_into(self._editions.served(), stretch.facts)
                facts = rebuild.facts + len(stretch.facts)
                rebuild = msgspec.structs.replace(rebuild, position=stretch.last, facts=facts)
                if stretch.last >= head:
                    break
        await self._editions.drop()
        return await self._end(rebuild, "done", None)

    STEPS: ClassVar[dict[Phase, Callable[[Rebuilding, Rebuild], Awaitable[Rebuild]]]] = {
        "waiting": _wait,
        "loading": _load,
        "indexing": _index,
        "comparing": _compare,
        "swapping": _swap,
        "settling": _settle,
    }

    async def _catch_up(self, rebuild: Rebuild, edition: Edition) -> Rebuild:
        """Apply the log from where it was applied up to, to what is its end now."""
        head = await self._bus.head()
        loader, began = Loader(edition), time.perf_counter()
        unread, written = rebuild.unread, rebuild
        try:
            async with aclosing(self._bus.history(after=rebuild.position)) as stretches:
                async for stretch in stretches:
                    await loader.take(stretch.facts)
                    # The stretches before this one are written.
                    if time.monotonic() - self._saved_at > SAVE_EVERY_S:
                        await self._save(written)
                    unread += len(stretch.unread)
                    seconds = rebuild.load_seconds + time.perf_counter() - began
                    written = msgspec.structs.replace(
                        written,
                        position=stretch.last,
                        facts=written.facts + len(stretch.facts) + len(stretch.unread),
                        pending=stretch.pending,
                        unread=unread + loader.left_out,
                        load_seconds=round(seconds, 3),
                    )
                    if stretch.last >= head:
                        break
            await loader.settle()
        finally:
            await loader.cancel()
        return written

    async def _save(self, rebuild: Rebuild) -> Rebuild:
        rebuild = msgspec.structs.replace(rebuild, updated_at=ids.now())
        if not await self._editions.save(rebuild, self._holder):
            raise LeaseLost(rebuild.rebuild_id)
        self._saved_at = time.monotonic()
        self._told(rebuild)
        return rebuild

    async def _end(self, rebuild: Rebuild, phase: Phase, error: str | None) -> Rebuild:
        return await self._save(
            msgspec.structs.replace(rebuild, phase=phase, error=error, ended_at=ids.now())
        )


def _at(rebuild: Rebuild, phase: Phase, **more: int) -> Rebuild:
    return msgspec.structs.replace(rebuild, phase=phase, **more)
