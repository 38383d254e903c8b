"""The store in MongoDB, through PyMongo's asynchronous client or Motor.

Only calls that both drivers share are used: `find_one`, `find(…).sort.limit.to_list`,
`bulk_write`, `create_index`, `drop_index`, `index_information`, `command`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any, TypeAlias

import bson
import msgspec
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from imagesystem.errors import Permanent, Transient, Unavailable
from pymongo import ReplaceOne, WriteConcern
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    OperationFailure,
    WriteConcernError,
)

from metadata_service.documents import Document
from metadata_service.drivers import DRIVERS
from metadata_service.indexes import INDEXES
from metadata_service.queries import Page, Position, Query
from metadata_service.settings import Settings
from metadata_service.store import Conflict, Unstorable

__all__ = ["MongoStore", "criteria", "open_store"]

#: `AsyncCollection` or `AsyncIOMotorCollection`, which have no common type.
Collection: TypeAlias = Any

CODEC: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)
#: Acknowledged only when it is in the journal (of the majority, where there is one).
DURABLE = WriteConcern(w="majority", j=True)
DUPLICATE_KEY = 11000
INDEX_DIFFERS = frozenset({85, 86})  # IndexOptionsConflict, IndexKeySpecsConflict
#: Refusals that say nothing about the request: credentials, disk, shutdown, elections.
NOT_NOW = frozenset({13, 18, 43, 50, 91, 189, 262, 8000, 10107, 11600, 11602, 13435, 13436, 14031})
#: The largest document MongoDB takes.
MAX_BYTES = 16 * 1024 * 1024
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
    client = DRIVERS[settings.mongodb_driver](settings)
    try:
        database = client.get_database(settings.mongodb_database, codec_options=CODEC)
        yield MongoStore(database.get_collection("images", write_concern=DURABLE))
    finally:
        closing = client.close()
        if inspect.isawaitable(closing):
            await closing


class MongoStore:
    """See `metadata_service.store.Store`."""

    def __init__(self, collection: Collection) -> None:
        self._documents = collection

    async def prepare(self) -> None:
        """See `Store.prepare`; an index that differs from its declaration is made anew."""
        for index in INDEXES:
            with answering():
                try:
                    await self._documents.create_index(list(index.keys), name=index.name)
                except OperationFailure as error:
                    if error.code not in INDEX_DIFFERS:
                        raise
                    for name in await self._in_the_way(index.name, index.keys):
                        await self._documents.drop_index(name)
                    await self._documents.create_index(list(index.keys), name=index.name)

    async def _in_the_way(self, name: str, keys: Sequence[tuple[str, int]]) -> list[str]:
        existing: Mapping[str, Any] = await self._documents.index_information()
        return [
            other
            for other, found in existing.items()
            if other == name or [tuple(pair) for pair in found["key"]] == list(keys)
        ]

    async def ping(self) -> None:
        """See `Store.ping`."""
        with answering():
            await self._documents.database.command("ping")

    async def get(self, image_id: str) -> Document | None:
        """See `Store.get`."""
        with answering():
            found = await self._documents.find_one({"_id": image_id})
        return None if found is None else msgspec.convert(found, Document)

    async def read(self, image_ids: Iterable[str]) -> dict[str, Document]:
        """See `Store.read`."""
        with answering():
            found = await self._documents.find({"_id": {"$in": list(image_ids)}}).to_list(None)
        return {item["_id"]: msgspec.convert(item, Document) for item in found}

    async def write(self, documents: Sequence[Document]) -> None:
        """See `Store.write`."""
        replacements = [_replacement(document) for document in documents]
        with answering():
            try:
                result = await self._documents.bulk_write(replacements, ordered=False)
            except BulkWriteError as error:
                raise _verdict(error) from error
        if result.matched_count + result.upserted_count < len(documents):
            raise Conflict("a document was written by somebody else meanwhile")

    async def page(self, query: Query) -> Page:
        """See `Store.page`."""
        direction = -1 if query.sort.descending else 1
        cursor = self._documents.find(criteria(query), LEFT_OUT)
        cursor = cursor.sort([(query.sort.field, direction), ("_id", direction)])
        with answering():
            found = await cursor.limit(query.limit + 1).to_list(query.limit + 1)
        documents = [msgspec.convert(item, Document) for item in found[: query.limit]]
        if len(found) <= query.limit:
            return Page(documents=documents)
        section, _, field = query.sort.field.partition(".")
        last = found[query.limit - 1]
        key = last[section][field] if field else last[section]
        return Page(documents=documents, next=Position(key=key, image_id=last["_id"]))


def _replacement(document: Document) -> ReplaceOne[Any]:
    """Return the write of one document over exactly the version it was made from."""
    stored = msgspec.structs.replace(document, version=document.version + 1)
    try:
        encoded = bson.encode(msgspec.to_builtins(stored, builtin_types=(datetime,)))
    except (BSONError, OverflowError) as error:
        raise Unstorable(f"{document.image_id}: {error}") from error
    if len(encoded) > MAX_BYTES:
        raise Unstorable(f"{document.image_id}: {len(encoded)} bytes, MongoDB takes {MAX_BYTES}")
    return ReplaceOne(
        {"_id": document.image_id, "version": document.version},
        RawBSONDocument(encoded),
        # Two writers that both saw nothing: the second insert is a duplicate key.
        upsert=document.version == 0,
    )


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


def _verdict(error: BulkWriteError) -> Transient | Permanent:
    """Say what a bulk write's refusals mean; what is not refused is written."""
    details = error.details or {}
    codes = {refusal.get("code") for refusal in details.get("writeErrors", ())}
    if details.get("writeConcernErrors") or codes & NOT_NOW:
        return Unavailable("mongodb", f"mongodb did not confirm the write: {error}")
    if codes == {DUPLICATE_KEY}:
        return Conflict("a document was written by somebody else meanwhile")
    return Unstorable(f"mongodb refused the document: {details.get('writeErrors')}"[:1000])


@contextmanager
def answering() -> Iterator[None]:
    """Turn the driver's errors into ours: the one place that knows them."""
    try:
        yield
    except (ConnectionFailure, WriteConcernError) as error:
        raise Unavailable("mongodb", f"mongodb is not available: {_line(error)}") from error
    except DocumentTooLarge as error:
        raise Unstorable(_line(error)) from error
    except OperationFailure as error:
        if error.code in NOT_NOW:
            raise Unavailable("mongodb", f"mongodb refuses: {_line(error)}") from error
        raise


def _line(error: Exception) -> str:
    return str(error).partition(", Timeout:")[0][:300]
