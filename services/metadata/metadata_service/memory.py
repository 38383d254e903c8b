"""The store in memory: the same answers as MongoDB, no server. For tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from metadata_service.memory_queries import matching, picked, projected, value, without
from metadata_service.mongo_queries import WITHOUT_VECTOR
from metadata_service.queries import Page, Position, Query, Row
from metadata_service.rebuilds.memory import MemoryEdition, MemoryEditions
from metadata_service.search.facets import Counts, Facet, tallied
from metadata_service.settings import Settings
from metadata_service.stats import Survey, surveyed
from metadata_service.views import plain

__all__ = ["MemoryStore"]


class MemoryStore(MemoryEdition):
    """Documents in a dictionary. `down` makes every call raise `Unavailable`.

    `open` is what an app's `open_store` parameter takes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.editions = MemoryEditions(self)

    @asynccontextmanager
    async def open(self, settings: Settings) -> AsyncIterator[MemoryStore]:
        """Stand in for `metadata_service.mongo.open_store`."""
        del settings
        yield self

    async def ping(self) -> None:
        """See `Store.ping`."""
        self.check()

    async def show(self, image_id: str, paths: Sequence[str] | None = None) -> Row | None:
        """See `Store.show`."""
        document = await self.get(image_id)
        if document is None:
            return None
        row = plain(document)
        return without(row, WITHOUT_VECTOR) if paths is None else picked(row, paths)

    async def page(self, query: Query) -> Page:
        """See `Store.page`."""
        rows, field = self._found(query), query.sort.field

        def place(row: Row) -> Any:
            return value(row, field), row["_id"]

        rows.sort(key=place, reverse=query.sort.descending)
        if query.after is not None:
            after = (query.after.key, query.after.image_id)
            descending = query.sort.descending
            rows = [
                row for row in rows if (place(row) < after if descending else place(row) > after)
            ]
        page = [projected(row, query) for row in rows[: query.limit]]
        if len(rows) <= query.limit:
            return Page(rows=page)
        key, image_id = place(rows[query.limit - 1])
        return Page(rows=page, next=Position(key=key, image_id=image_id))

    async def count(self, query: Query, most: int) -> int:
        """See `Store.count`."""
        return min(len(self._found(query)), most)

    async def facets(self, query: Query, facets: Sequence[Facet], most: int) -> Counts:
        """See `Store.facets`."""
        return tallied(self._found(query)[:most], facets)

    async def survey(self) -> Survey:
        """See `Store.survey`."""
        self.check()
        return surveyed(map(plain, self.documents.values()))

    def _found(self, query: Query) -> list[Row]:
        self.check()
        return matching(map(plain, self.documents.values()), query)
