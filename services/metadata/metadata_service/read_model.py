"""The read model: facts go in, documents come out, what arrives together is written together.

While writes are under way, facts gather; the next write takes them all (a group commit). Where many
wait, two batches are under way, about different images: one is folded while the database takes the
other. Each caller of `apply` returns when its own fact is durable.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
from imagesystem import logs, tracing
from imagesystem.bus import Received
from imagesystem.errors import Transient
from imagesystem.events import Fact
from imagesystem.tracing import Standing

from metadata_service.documents import Document
from metadata_service.folding import fold_all
from metadata_service.store import Conflict, Edition, Store

__all__ = ["Change", "ReadModel", "fold_into"]

log = logs.get(__name__)

#: Facts in one write at most; a document is read and written once however many speak of it.
BATCH = 512
#: Writes under way at most, and how many facts have to wait for a second one to begin.
AT_ONCE, MANY = 2, 64
#: Each conflict means that another replica got on, so this many in a row do not happen.
CONFLICTS = 16


class Change(msgspec.Struct, frozen=True):
    """A document before (None: there was none) and after facts were folded into it."""

    before: Document | None
    after: Document

    @property
    def settled(self) -> bool:
        """Whether nothing planned is outstanding any more, and something was before."""
        was_open = self.before is None or self.before.ready_at is None
        return was_open and self.after.ready_at is not None


class _Waiting(msgspec.Struct, eq=False):
    received: Received[Fact]
    done: asyncio.Future[Document | None]
    standing: Standing | None


class ReadModel:
    """Applies facts to a store; `applied` hears the ids of the images that changed."""

    def __init__(self, store: Store, applied: Callable[[Collection[str]], None]) -> None:
        self._store = store
        self._applied = applied
        self._waiting: list[_Waiting] = []
        self._news = asyncio.Event()
        #: Commits under way, and the images that they are about.
        self._writing: dict[asyncio.Task[None], frozenset[str]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ReadModel]:
        """Write what is applied, until the block is left."""
        writer = asyncio.create_task(self._write_on(), name="read-model")
        try:
            yield self
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            writing = list(self._writing)
            for each in writing:
                each.cancel()
            await asyncio.gather(*writing, return_exceptions=True)

    async def apply(self, received: Received[Fact]) -> Document | None:
        """Take one fact into its document; returns when that is durable.

        If it was the last that the image was waiting for, returns the document, else None.
        Raises `Unavailable` when the database is down, `Unstorable` when it cannot hold it.
        """
        done = asyncio.get_running_loop().create_future()
        waiting = _Waiting(received, done, tracing.here())
        self._waiting.append(waiting)
        self._news.set()
        return await waiting.done

    async def _write_on(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting and self._may_begin() and (batch := self._next()):
                images = frozenset(waiting.received.event.image_id for waiting in batch)
                writing = asyncio.create_task(self._commit(batch), name="write-images")
                self._writing[writing] = images
                writing.add_done_callback(self._written)

    def _may_begin(self) -> bool:
        under_way = len(self._writing)
        return under_way == 0 or (under_way < AT_ONCE and len(self._waiting) >= MANY)

    def _next(self) -> list[_Waiting]:
        """Take what may be written now: nothing about images that are being written."""
        busy = frozenset[str]().union(*self._writing.values())
        batch: list[_Waiting] = []
        left: list[_Waiting] = []
        for waiting in self._waiting:
            free = len(batch) < BATCH and waiting.received.event.image_id not in busy
            (batch if free else left).append(waiting)
        self._waiting = left
        return batch

    def _written(self, writing: asyncio.Task[None]) -> None:
        del self._writing[writing]
        self._news.set()

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        began = time.perf_counter()
        try:
            changes = await fold_into(self._store, [waiting.received for waiting in batch])
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
            _refuse(batch, error)
        else:
            _record(batch, time.perf_counter() - began)
            self._applied(changes.keys())
            _settle(batch, changes)


async def fold_into(store: Edition, facts: Sequence[Received[Fact]]) -> Mapping[str, Change]:
    """Fold facts into their documents and write those that change; returns those, by image.

    When it returns, what changed is as durable as the store's writes.
    """
    for _ in range(CONFLICTS):
        held = await store.read({received.event.image_id for received in facts})
        changed = _folded(held, facts)
        if not changed:
            return {}
        try:
            await store.write(list(changed.values()))
        except Conflict:
            log.info("write_conflict", documents=len(changed))
            continue
        return {name: Change(held.get(name), after) for name, after in changed.items()}
    raise Conflict(f"gave way to other writers {CONFLICTS} times")


def _folded(held: dict[str, Document], facts: Sequence[Received[Fact]]) -> dict[str, Document]:
    by_image: dict[str, list[Received[Fact]]] = {}
    for received in sorted(facts, key=lambda received: received.sequence):
        by_image.setdefault(received.event.image_id, []).append(received)
    folded = {name: fold_all(held.get(name), about) for name, about in by_image.items()}
    return {name: document for name, document in folded.items() if document is not None}


def _settle(batch: Sequence[_Waiting], changes: Mapping[str, Change]) -> None:
    """Tell the callers; of those about an image that is settled now, the last one gets it."""
    settled = {name: change.after for name, change in changes.items() if change.settled}
    for waiting in sorted(batch, key=lambda waiting: -waiting.received.sequence):
        document = settled.pop(waiting.received.event.image_id, None)
        if not waiting.done.done():  # else its caller has given up
            waiting.done.set_result(document)


def _refuse(batch: Sequence[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.done.done():
            waiting.done.set_exception(error)


def _record(batch: Sequence[_Waiting], seconds: float) -> None:
    """Show the write in the trace of each fact that was in it."""
    what: tracing.Attributes = {
        "db.system.name": "mongodb",
        "db.collection.name": "images",
        "db.operation.name": "write",
        "db.operation.batch.size": len(batch),
    }
    for waiting in batch:
        if waiting.standing is not None:
            tracing.record(
                "write images", seconds, above=waiting.standing, kind="client", attributes=what
            )
