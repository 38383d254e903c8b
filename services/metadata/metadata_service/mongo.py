"""The store in MongoDB, through PyMongo's asynchronous client or Motor.

Only calls that both drivers share are used; `metadata_service.mongo_edition` has those on
documents, `metadata_service.rebuilds.mongo` those that exchange collections.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from bson.codec_options import CodecOptions

from metadata_service.documents import Document
from metadata_service.drivers import DRIVERS
from metadata_service.mongo_edition import DURABLE, MongoEdition, answering, fetched
from metadata_service.queries import Page, Position, Query
from metadata_service.rebuilds.mongo import DOCUMENTS, MongoEditions
from metadata_service.settings import Settings

__all__ = ["MongoStore", "criteria", "open_store"]

CODEC: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)
#: Index builds and exchanges of collections take as long as there are documents.
PATIENCE_S = 3600.0
#: Later than nothing: the lower bound that only leaves out what has no time.
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
LEFT_OUT = {"augmented": False, "seq": False}

OPERATORS: dict[str, Callable[[Any], Any]] = {
    "equals": lambda value: {"$eq": value},
    "any_of": lambda values: {"$in": list(values)},
    "all_of": lambda values: {"$all": list(values)},
    "at_least": lambda value: {"$gte": value},
    "at_most": lambda value: {"$lte": value},
    "before": lambda value: {"$lt": value},
    "contains": lambda text: {"$regex": re.escape(text), "$options": "i"},
}


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[MongoStore]:
    """Connect with the driver that the settings name; returns before the server answers."""
    connect = DRIVERS[settings.mongodb_driver]
    patient = msgspec.structs.replace(settings, mongodb_answer_timeout_s=PATIENCE_S)
    clients = [connect(settings), connect(patient)]
    try:
        databases = [
            client.get_database(settings.mongodb_database, codec_options=CODEC)
            for client in clients
        ]
        yield MongoStore(*databases)
    finally:
        for client in clients:
            closing = client.close()
            if inspect.isawaitable(closing):
                await closing


class MongoStore(MongoEdition):
    """See `metadata_service.store.Store`. `patient` is the database on a client that waits."""

    def __init__(self, database: Any, patient: Any) -> None:
        super().__init__(database.get_collection(DOCUMENTS, write_concern=DURABLE))
        self.editions = MongoEditions(database, patient, self)

    async def ping(self) -> None:
        """See `Store.ping`."""
        with answering():
            await self._documents.database.command("ping")

    async def page(self, query: Query) -> Page:
        """See `Store.page`."""
        direction = -1 if query.sort.descending else 1
        order = [(query.sort.field, direction), ("_id", direction)]
        found = await fetched(
            lambda: (
                self._documents.find(criteria(query), LEFT_OUT).sort(order).limit(query.limit + 1)
            )
        )
        documents = [msgspec.convert(item, Document) for item in found[: query.limit]]
        if len(found) <= query.limit:
            return Page(documents=documents)
        section, _, field = query.sort.field.partition(".")
        last = found[query.limit - 1]
        key = last[section][field] if field else last[section]
        return Page(documents=documents, next=Position(key=key, image_id=last["_id"]))


def criteria(query: Query) -> dict[str, Any]:
    """Return the filter that finds the documents of a query."""
    sort, after = query.sort, query.after
    every: list[dict[str, Any]] = [
        {condition.field: OPERATORS[condition.operator](condition.value)}
        for condition in query.conditions
    ]
    every.append({sort.field: {"$gte": BEGINNING}})
    if after is not None:
        closer, equal = ("$lt", "$lte") if sort.descending else ("$gt", "$gte")
        # One range on the index, and the ids of the one moment where the last page ended.
        every.append({sort.field: {equal: after.key}})
        every.append(
            {"$or": [{sort.field: {closer: after.key}}, {"_id": {closer: after.image_id}}]}
        )
    return {"$and": every}
