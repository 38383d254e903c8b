"""The read model: facts go in, documents come out, what arrives together is written together.

While one write is under way, facts gather; the next write takes them all (a group commit). Each
caller of `apply` returns when its own fact is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec
from imagesystem import logs
from imagesystem.bus import Received
from imagesystem.errors import Transient
from imagesystem.events import Fact

from metadata_service.documents import Document
from metadata_service.folding import fold
from metadata_service.store import Conflict, Store

__all__ = ["ReadModel"]

log = logs.get(__name__)

#: Facts in one write at most; a document is read and written once however many speak of it.
BATCH = 512
#: Each conflict means that another replica got on, so this many in a row do not happen.
CONFLICTS = 16


class _Waiting(msgspec.Struct, eq=False):
    received: Received[Fact]
    done: asyncio.Future[None]


class ReadModel:
    """Applies facts to a store; `applied` hears the ids of the images that changed."""

    def __init__(self, store: Store, applied: Callable[[Collection[str]], None]) -> None:
        self._store = store
        self._applied = applied
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ReadModel]:
        """Write what is applied, until the block is left."""
        writer = asyncio.create_task(self._write_on(), name="read-model")
        try:
            yield self
        finally:
            writer.cancel()
            with suppress(asyncio.CancelledError):
                await writer

    async def apply(self, received: Received[Fact]) -> None:
        """Take one fact into its document; returns when that is durable.

        Raises `Unavailable` when the database is down, `Unstorable` when it cannot hold it.
        """
        waiting = _Waiting(received, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        await waiting.done

    async def _write_on(self) -> None:
        while True:
            await self._arrived.wait()
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            if not self._waiting:
                self._arrived.clear()
            await self._commit(batch)

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        try:
            changed = await self._fold_in([waiting.received for waiting in batch])
        except asyncio.CancelledError:
            for waiting in batch:
                waiting.done.cancel()
            raise
        except Exception as error:  # noqa: BLE001  handed to the callers, each decides
            if len(batch) > 1 and not isinstance(error, Transient):
                # One of them cannot be stored: find out which, the others are innocent.
                for waiting in batch:
                    await self._commit([waiting])
                return
            _settle(batch, error)
        else:
            self._applied(changed)
            _settle(batch, None)

    async def _fold_in(self, facts: Sequence[Received[Fact]]) -> Collection[str]:
        """Fold the facts into their documents and write those that change; returns whose."""
        for _ in range(CONFLICTS):
            held = await self._store.read({received.event.image_id for received in facts})
            changed = _folded(held, facts)
            if not changed:
                return ()
            try:
                await self._store.write(list(changed.values()))
            except Conflict:
                log.info("write_conflict", documents=len(changed))
                continue
            return changed.keys()
        raise Conflict(f"gave way to other writers {CONFLICTS} times")


def _folded(held: dict[str, Document], facts: Sequence[Received[Fact]]) -> dict[str, Document]:
    changed: dict[str, Document] = {}
    for received in sorted(facts, key=lambda received: received.sequence):
        image_id = received.event.image_id
        before = changed.get(image_id) or held.get(image_id)
        after = fold(before, received.event, received.sequence)
        if after is not None:
            changed[image_id] = after
    return changed


def _settle(batch: Sequence[_Waiting], error: Exception | None) -> None:
    for waiting in batch:
        if waiting.done.done():  # its caller has given up
            continue
        if error is None:
            waiting.done.set_result(None)
        else:
            waiting.done.set_exception(error)
