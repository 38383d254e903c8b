"""Documents of older shapes made into the current one, step by step.

A shape is a number in every document. What is read is brought up to date on the way, so that old
documents do no harm; what queries ask for is only found in documents that were written since, or
migrated. A step changes what is kept of facts; what is derived follows by itself.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec
from imagesystem import logs

from metadata_service.derivation import derive
from metadata_service.documents import SHAPE, Document
from metadata_service.queries import Row
from metadata_service.store import Conflict, Store

__all__ = ["MIGRATIONS", "Migrated", "Migration", "migrate", "restored"]

log = logs.get(__name__)

#: Documents read and written at once.
PAGE = 200
#: Each conflict means that a fact arrived, which brings its document up to date as well.
ATTEMPTS = 5


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """A step to shape `shape`; `change` makes the kept sections of a document anew."""

    shape: int
    title: str
    change: Callable[[Row], Row] = lambda row: row


def _binary_vectors(row: Row) -> Row:
    embedding: Row = (row.get("inferred") or {}).get("embedding") or {}
    result: Row = embedding.get("result") or {}
    if not isinstance(result.get("vector"), str):
        return row
    kept = result | {"vector": base64.b64decode(result["vector"])}
    return row | {"inferred": row["inferred"] | {"embedding": embedding | {"result": kept}}}


#: Every shape there was since the first, which had no number and counts as 0.
MIGRATIONS: tuple[Migration, ...] = (
    Migration(shape=1, title="keep vectors as binary, not as text", change=_binary_vectors),
    Migration(shape=2, title="derive what searches ask for: words, traits, places, colours"),
)
assert [each.shape for each in MIGRATIONS] == list(range(1, SHAPE + 1))  # noqa: S101


class Migrated(msgspec.Struct, kw_only=True):
    """How far a migration is, in documents: `seen`, of which `outdated`, of which `written`."""

    seen: int = 0
    outdated: int = 0
    written: int = 0
    ended: bool = False


def restored(row: Row) -> Document:
    """Return the document that plain data of any shape so far is."""
    shape = row.get("shape", 0)
    if shape >= SHAPE:
        return msgspec.convert(row, Document)
    for step in MIGRATIONS[shape:]:
        row = step.change(row)
    return msgspec.convert(row, Document)


async def migrate(store: Store, *, dry_run: bool) -> AsyncIterator[Migrated]:
    """Bring all documents to the current shape; yields the counts as they grow.

    Raises `Unavailable`. It can be broken off and run again, and run while facts arrive.
    """
    counts, after = Migrated(), ""
    while rows := await store.scan(after, PAGE):
        after = rows[-1]["_id"]
        counts.seen += len(rows)
        outdated = [row for row in rows if row.get("shape", 0) < SHAPE]
        counts.outdated += len(outdated)
        if outdated and not dry_run:
            counts.written += await _written(store, outdated)
        yield counts
    counts.ended = True
    yield counts
    log.info("migration_ended", seen=counts.seen, written=counts.written, dry_run=dry_run)


async def _written(store: Store, rows: Sequence[Row]) -> int:
    """Write documents anew; returns how many were written here."""
    written = len(rows)
    for _ in range(ATTEMPTS):
        try:
            await store.write([derive(restored(row)) for row in rows])
        except Conflict:  # of some: whoever was faster has brought those up to date
            again = await store.stored([row["_id"] for row in rows])
            rows = [row for row in again.values() if row.get("shape", 0) < SHAPE]
            if not rows:
                return written
            continue
        return written
    raise Conflict(f"gave way to other writers {ATTEMPTS} times")
