"""The store in memory: the same answers as MongoDB, no server. For tests."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from imagesystem.errors import Unavailable

from metadata_service.documents import Document
from metadata_service.queries import Condition, Page, Position, Query
from metadata_service.settings import Settings
from metadata_service.store import Conflict

__all__ = ["MemoryStore"]

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "equals": lambda found, value: found == value or (isinstance(found, list) and value in found),
    "any_of": lambda found, values: found in values,
    "all_of": lambda found, values: isinstance(found, list) and set(values) <= set(found),
    "at_least": lambda found, value: found is not None and found >= value,
    "at_most": lambda found, value: found is not None and found <= value,
    "before": lambda found, value: found is not None and found < value,
    "contains": lambda found, text: (
        found is not None and re.search(re.escape(text), found, re.IGNORECASE) is not None
    ),
}


class MemoryStore:
    """Documents in a dictionary. `down` makes every call raise `Unavailable`.

    `open` is what an app's `open_store` parameter takes.
    """

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self.writes: list[int] = []
        self.down = False

    @asynccontextmanager
    async def open(self, settings: Settings) -> AsyncIterator[MemoryStore]:
        """Stand in for `metadata_service.mongo.open_store`."""
        del settings
        yield self

    def _check(self) -> None:
        if self.down:
            raise Unavailable("mongodb", "the in-memory store is down")

    async def prepare(self) -> None:
        """See `Store.prepare`."""
        self._check()

    async def ping(self) -> None:
        """See `Store.ping`."""
        self._check()

    async def get(self, image_id: str) -> Document | None:
        """See `Store.get`."""
        self._check()
        return self.documents.get(image_id)

    async def read(self, image_ids: Iterable[str]) -> dict[str, Document]:
        """See `Store.read`."""
        self._check()
        return {key: self.documents[key] for key in image_ids if key in self.documents}

    async def write(self, documents: Sequence[Document]) -> None:
        """See `Store.write`; `writes` remembers how many documents came at once."""
        self._check()
        self.writes.append(len(documents))
        conflicts = 0
        for document in documents:
            held = self.documents.get(document.image_id)
            if (held.version if held else 0) != document.version:
                conflicts += 1
                continue
            stored = msgspec.structs.replace(document, version=document.version + 1)
            self.documents[document.image_id] = stored
        if conflicts:
            raise Conflict(f"{conflicts} documents were written by somebody else meanwhile")

    async def page(self, query: Query) -> Page:
        """See `Store.page`."""
        self._check()
        field = query.sort.field

        def place(document: Document) -> Any:
            return _value(document, field), document.image_id

        found = [
            document
            for document in self.documents.values()
            if document.exists and all(_meets(document, each) for each in query.conditions)
        ]
        found.sort(key=place, reverse=query.sort.descending)
        if query.after is not None:
            after = (query.after.key, query.after.image_id)
            descending = query.sort.descending
            found = [
                document
                for document in found
                if (place(document) < after if descending else place(document) > after)
            ]
        page = [msgspec.structs.replace(d, augmented={}, seq={}) for d in found[: query.limit]]
        if len(found) <= query.limit:
            return Page(documents=page)
        key, image_id = place(page[-1])
        return Page(documents=page, next=Position(key=key, image_id=image_id))


def _meets(document: Document, condition: Condition) -> bool:
    return OPERATORS[condition.operator](_value(document, condition.field), condition.value)


def _value(document: Document, path: str) -> Any:
    found: Any = document
    for name in path.split("."):
        found = getattr(found, name, None)
    return found
