"""What can be asked about pictures, and what people can change: the service without HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from imagesystem import ids
from imagesystem.errors import Rejected, Transient, Unavailable

from metadata_service.documents import Document
from metadata_service.edits import Edit, Edits, image_deleted, unknown_image
from metadata_service.etags import Precondition
from metadata_service.queries import Page, Query, Row
from metadata_service.remembering import Remembered
from metadata_service.search.facets import FACETS, Counts, Facet, named
from metadata_service.settings import Settings
from metadata_service.stats import TOP, Stats, told
from metadata_service.store import TOO_SLOW, Store
from metadata_service.waiting import Waiters

__all__ = ["Library"]

#: Pictures among which values are counted where counting them among more took too long.
FEW = 5000
#: What says whether there is a picture.
EXISTENCE = ("uploaded.sha256", "tombstone")


class Library:
    """The documents of all pictures."""

    def __init__(self, store: Store, waiters: Waiters, edits: Edits, settings: Settings):
        self._store = store
        self._waiters = waiters
        self._edits = edits
        self._apply_wait_s = settings.apply_wait_s
        self._count_max = settings.count_max
        self._totals: Remembered[int] = Remembered(settings.facets_kept_s)
        self._stats: Remembered[Stats] = Remembered(settings.stats_kept_s)
        self._counts: Remembered[Counts] = Remembered(settings.facets_kept_s)

    async def picture(self, image_id: str, paths: Sequence[str] | None = None) -> Row:
        """Return what is known now; `Rejected` 404 or 410 when there is no picture.

        `paths`: the parts that are needed; without them, all but the vector.
        """
        read = None if paths is None else (*paths, *EXISTENCE)
        row = await self._store.show(image_id, read)
        if row is None:
            raise unknown_image(image_id)
        if row.get("uploaded") is None:
            raise image_deleted(image_id) if row.get("tombstone") else unknown_image(image_id)
        return row

    async def pictures(self, image_ids: Iterable[str]) -> dict[str, Row]:
        """Return those of the pictures that are there, by image id."""
        stored = await self._store.stored(image_ids)
        return {name: row for name, row in stored.items() if row["uploaded"] is not None}

    async def ready_picture(self, image_id: str, timeout_s: float) -> Document:
        """Return what is known as soon as every planned task is settled, or after a while.

        An image that is not known yet is waited for as well, and so is one that was uploaded
        again after it was deleted.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout_s
        document = await self._waiters.until(image_id, _settled, timeout_s)
        if document is not None and document.deleted and await self._uploaded_since(document):
            left = deadline - clock()
            document = await self._waiters.until(image_id, _alive_and_settled, left)
        return _found(image_id, document)

    async def _uploaded_since(self, deleted: Document) -> bool:
        """Whether the log has an upload that the read model's tombstone is older than."""
        try:
            said = await self._edits.last_upload(deleted.image_id)
        except Transient:  # without NATS, what the read model says is all there is
            return False
        tombstone = deleted.tombstone
        return said is not None and tombstone is not None and said.sequence > tombstone.seq

    async def page(self, query: Query) -> Page:
        """Return one page of the pictures that a query finds."""
        return await self._store.page(query)

    async def total(self, query: Query) -> int | None:
        """Return how many pictures a query finds, None if that are more than can be counted.

        The answer may be a few seconds old.
        """
        most = self._count_max
        try:
            count = await self._totals.get(
                _whole(query), lambda: self._store.count(query, most + 1)
            )
        except Rejected as error:
            if error.code != TOO_SLOW:
                raise
            return None
        return None if count > most else count

    async def facets(self, query: Query, names: Sequence[str]) -> Counts:
        """Return how often values occur among the pictures found; may be a few seconds old."""
        wanted = [FACETS[name] for name in dict.fromkeys(names)]
        key = (_whole(query), tuple(facet.name for facet in wanted))
        counts = await self._counts.get(key, lambda: self._tallied(query, wanted))
        return named(counts, wanted)

    async def _tallied(self, query: Query, wanted: Sequence[Facet]) -> Counts:
        """Return counts among as many pictures as there is time for."""
        try:
            return await self._store.facets(query, wanted, self._count_max)
        except Rejected as error:
            if error.code != TOO_SLOW or self._count_max <= FEW:
                raise
            return await self._store.facets(query, wanted, FEW)

    async def stats(self) -> Stats:
        """Return counts over all pictures; may be some seconds old."""
        return await self._stats.get("stats", self._count_all)

    async def _count_all(self) -> Stats:
        survey, top = await asyncio.gather(
            self._store.survey(), self._store.facets(Query(), TOP, self._count_max)
        )
        return told(survey, top, ids.now())

    async def annotate(self, image_id: str, edit: Edit, *, dry_run: bool) -> bool:
        """Edit without waiting for the read model; return whether it changed (would change)."""
        changes = await self._edits.changes(image_id, edit)
        if changes and not dry_run:
            await self._edits.edit(image_id, edit, Precondition(None))
        return changes

    async def edit(
        self, image_id: str, edit: Edit, precondition: Precondition
    ) -> tuple[Document, bool]:
        """Change tags and caption; return the picture and whether the read model has it.

        If it has not after a while (it may be behind, or the database down), the edit is
        accepted all the same, and the picture is what the log says of upload and annotations.
        """
        edited = await self._edits.edit(image_id, edit, precondition)

        def applied(document: Document | None) -> bool:
            if document is None:
                return False
            return document.deleted or document.seq.get("annotated", 0) >= edited.sequence

        try:
            document = await self._waiters.until(image_id, applied, self._apply_wait_s)
        except Unavailable:
            return edited.document, False
        if document is not None and document.deleted and not _outdated(document, edited.document):
            raise image_deleted(image_id)
        if document is None or not document.exists or not applied(document):
            return edited.document, False
        return document, True


def _whole(query: Query) -> str:
    """Return what a query asks, wherever a page of it begins: the same text for the same."""
    return repr((query.conditions, query.words, query.least_score))


def _settled(document: Document | None) -> bool:
    return document is not None and document.status != "pending"


def _alive_and_settled(document: Document | None) -> bool:
    return _settled(document) and document is not None and document.exists


def _outdated(document: Document, newer: Document) -> bool:
    """Say whether the read model's tombstone is older than the upload that the log has."""
    tombstone = document.tombstone
    return tombstone is not None and newer.seq["uploaded"] > tombstone.seq


def _found(image_id: str, document: Document | None) -> Document:
    if document is not None and document.deleted:
        raise image_deleted(image_id)
    if document is None or not document.exists:
        raise unknown_image(image_id)
    return document
