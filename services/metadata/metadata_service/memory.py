"""The store in memory: the same answers as MongoDB, no server. For tests."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from metadata_service.documents import Document
from metadata_service.queries import Condition, Page, Position, Query
from metadata_service.rebuilds.memory import MemoryEdition, MemoryEditions
from metadata_service.settings import Settings

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

    async def page(self, query: Query) -> Page:
        """See `Store.page`."""
        self.check()
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
