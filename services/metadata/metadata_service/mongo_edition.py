"""A collection of documents in MongoDB: reading, writing, and what the server's errors mean.

Only calls that both drivers share are used: `find_one`, `find(…).sort.limit.to_list`,
`bulk_write`, `create_index`, `drop_index`, `index_information`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeAlias

import bson
import msgspec
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from imagesystem.errors import Permanent, Rejected, Transient, Unavailable
from pymongo import InsertOne, ReplaceOne, WriteConcern
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    ExecutionTimeout,
    OperationFailure,
    WriteConcernError,
)

from metadata_service.documents import Document
from metadata_service.indexes import INDEXES
from metadata_service.migrations import restored
from metadata_service.mongo_queries import reading
from metadata_service.schema import ABOVE_IDS, validator
from metadata_service.store import TOO_SLOW, Conflict, Unstorable

__all__ = [
    "ABOVE_IDS",
    "DUPLICATE_KEY",
    "DURABLE",
    "EXCHANGED",
    "MongoEdition",
    "aggregated",
    "answering",
    "fetched",
]

#: `AsyncCollection` or `AsyncIOMotorCollection`, which have no common type.
Collection: TypeAlias = Any

#: Acknowledged only when it is in the journal (of the majority, where there is one).
DURABLE = WriteConcern(w="majority", j=True)
DUPLICATE_KEY = 11000
INDEX_DIFFERS = frozenset({85, 86})  # IndexOptionsConflict, IndexKeySpecsConflict
#: A cursor whose collection was exchanged for another meanwhile; asked again, it answers.
EXCHANGED = frozenset({43, 175, 237})  # CursorNotFound, QueryPlanKilled, CursorKilled
UNAUTHORIZED = 13
#: Refusals that say nothing about the request: indexes that are being made, credentials, disk,
#: shutdown, elections.
NOT_NOW = EXCHANGED | {
    *(UNAUTHORIZED, 27, 18, 50, 91, 189, 262, 8000, 10107, 11600, 11602, 13435, 13436, 14031)
}
#: Documents encoded before others get their turn.
TURN = 32
#: The largest document MongoDB takes.
MAX_BYTES = 16 * 1024 * 1024


class MongoEdition:
    """See `metadata_service.store.Edition`. What it writes first has `first_version`."""

    def __init__(self, collection: Collection, first_version: int = 1) -> None:
        self._documents = collection
        self._first_version = first_version

    async def prepare(self) -> None:
        """See `Edition.prepare`; an index that differs from its declaration is made anew."""
        for index in INDEXES:
            with answering():
                try:
                    await self._documents.create_index(list(index.keys), **index.options)
                except OperationFailure as error:
                    if error.code not in INDEX_DIFFERS:
                        raise
                    for name in await self._in_the_way(index.name, index.keys):
                        await self._documents.drop_index(name)
                    await self._documents.create_index(list(index.keys), **index.options)
        with answering():  # the collection is there: it has indexes
            await self._documents.database.command(
                {"collMod": self._documents.name, "validator": validator()}
            )

    async def _in_the_way(self, name: str, keys: Sequence[tuple[str, int | str]]) -> list[str]:
        existing: Mapping[str, Any] = await self._documents.index_information()
        return [
            other
            for other, found in existing.items()
            if other == name
            or [tuple(pair) for pair in found["key"]] == list(keys)
            # A collection has one index of words at most, whatever its name.
            or ("weights" in found and any(kind == "text" for _, kind in keys))
        ]

    async def get(self, image_id: str) -> Document | None:
        """See `Edition.get`."""
        with answering():
            found = await self._documents.find_one({"_id": image_id})
        return None if found is None else restored(found)

    async def read(self, image_ids: Iterable[str]) -> dict[str, Document]:
        """See `Edition.read`."""
        found = await self.stored(image_ids)
        return {name: restored(item) for name, item in found.items()}

    async def write(self, documents: Sequence[Document]) -> None:
        """See `Edition.write`."""
        written = [_written(document, self._first_version) for document in documents]
        with answering():
            try:
                result = await self._documents.bulk_write(written, ordered=False)
            except BulkWriteError as error:
                raise _verdict(error) from error
        if result.matched_count + result.inserted_count < len(documents):
            raise Conflict("a document was written by somebody else meanwhile")

    async def insert(self, documents: Sequence[Document]) -> set[str]:
        """See `Edition.insert`."""
        new = []
        for number, document in enumerate(documents):
            if number % TURN == TURN - 1:
                await asyncio.sleep(0)
            new.append(InsertOne(_stored(document, self._first_version)))
        with answering():
            try:
                await self._documents.bulk_write(new, ordered=False)
            except BulkWriteError as error:
                verdict = _verdict(error)
                if not isinstance(verdict, Conflict):
                    raise verdict from error
                refused = (error.details or {})["writeErrors"]
                return {documents[refusal["index"]].image_id for refusal in refused}
        return set()

    async def scan(
        self, after: str, limit: int, paths: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """See `Edition.scan`."""
        wanted = None if paths is None else reading(paths)
        following = {"_id": {"$gt": after, "$lt": ABOVE_IDS}}
        return await fetched(
            lambda: self._documents.find(following, wanted).sort([("_id", 1)]).limit(limit)
        )

    async def stored(self, image_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """See `Edition.stored`."""
        wanted = {"_id": {"$in": list(image_ids)}}
        found = await fetched(lambda: self._documents.find(wanted))
        return {item["_id"]: item for item in found}


def _written(document: Document, first_version: int) -> InsertOne[Any] | ReplaceOne[Any]:
    """Return the write of one document over exactly the version it was made from."""
    stored = _stored(document, first_version)
    if document.version == 0:
        # Two writers that both saw nothing: the second one has a duplicate key.
        return InsertOne(stored)
    return ReplaceOne({"_id": document.image_id, "version": document.version}, stored)


def _stored(document: Document, first_version: int) -> RawBSONDocument:
    version = document.version + 1 if document.version else first_version
    stored = msgspec.structs.replace(document, version=version)
    try:
        encoded = bson.encode(msgspec.to_builtins(stored, builtin_types=(datetime, bytes)))
    except (BSONError, OverflowError) as error:
        raise Unstorable(f"{document.image_id}: {error}") from error
    if len(encoded) > MAX_BYTES:
        raise Unstorable(f"{document.image_id}: {len(encoded)} bytes, MongoDB takes {MAX_BYTES}")
    return RawBSONDocument(encoded)


async def fetched(find: Callable[[], Any]) -> list[dict[str, Any]]:
    """Return all that a cursor finds; asked once more if a rebuild took it away."""
    with answering():
        try:
            return list(await find().to_list(None))
        except OperationFailure as error:
            if error.code not in EXCHANGED:
                raise
            return list(await find().to_list(None))


async def aggregated(documents: Collection, stages: list[Any], most_ms: int) -> list[Any]:
    """Return all that a pipeline finds; asked once more if a rebuild took its cursor away.

    Raises `Rejected` 422 `query_too_slow` when it takes the server longer than `most_ms`.
    """

    async def run() -> Any:
        found = documents.aggregate(stages, maxTimeMS=most_ms)
        return await found if inspect.isawaitable(found) else found  # PyMongo; Motor

    with answering():
        try:
            return list(await (await run()).to_list(None))
        except OperationFailure as error:
            if error.code not in EXCHANGED:
                raise
            return list(await (await run()).to_list(None))


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
    except ExecutionTimeout as error:
        raise Rejected(
            422,
            TOO_SLOW,
            "the answer takes too long to find: narrow the query (a tag, a label, a time)",
            limit="QUERY_TIMEOUT_S",
        ) from error
    except OperationFailure as error:
        if error.code in NOT_NOW:
            needed = "; it needs readWrite and dbAdmin" if error.code == UNAUTHORIZED else ""
            raise Unavailable("mongodb", f"mongodb refuses: {_line(error)}{needed}") from error
        raise


def _line(error: Exception) -> str:
    return str(error).partition(", Timeout:")[0][:300]
