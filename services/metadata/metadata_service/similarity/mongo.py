"""The nearest vectors by MongoDB's `$vectorSearch`, where mongot runs beside mongod.

Vectors are mirrored into a collection of their own, one field for each number of dimensions, since
an index is of one. Until the server says that an index can be asked, the vectors in memory are.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

from bson.binary import Binary, BinaryVectorDtype
from imagesystem import logs
from imagesystem.errors import ImageSystemError
from pymongo import DeleteOne, ReplaceOne
from pymongo.errors import OperationFailure

from metadata_service.drivers import DRIVERS
from metadata_service.mongo_edition import aggregated, answering, fetched
from metadata_service.settings import Settings
from metadata_service.similarity.gallery import Gallery
from metadata_service.similarity.looks import Change
from metadata_service.similarity.port import Found
from metadata_service.similarity.vectors import Space, Vector

__all__ = ["VectorSearch", "found_in", "index_of", "open_vector_search", "pipeline"]

log = logs.get(__name__)

COLLECTION = "vectors"
NAMESPACE_EXISTS = 48
#: Candidates looked at for each one asked for (as MongoDB advises), and at most (its limit).
CANDIDATES, CANDIDATES_MAX = 20, 10_000
#: Pictures written at once.
BATCH = 500
#: Seconds between looks at indexes that are being made, and after something failed.
PAUSE_S = 5.0

#: `AsyncCollection` or `AsyncIOMotorCollection`, which have no common type.
Collection: TypeAlias = Any


def _path(dimensions: int) -> str:
    return f"vector_{dimensions}"


def _space(space: Space) -> str:
    return f"{space.model} {space.model_version}"


def index_of(dimensions: int) -> dict[str, Any]:
    """Return the index for vectors of so many dimensions, as `createSearchIndexes` takes it."""
    vector = {
        "type": "vector",
        "path": _path(dimensions),
        "numDimensions": dimensions,
        "similarity": "cosine",
    }
    fields = [vector, {"type": "filter", "path": "space"}]
    return {
        "name": f"cosine_{dimensions}",
        "type": "vectorSearch",
        "definition": {"fields": fields},
    }


def pipeline(space: Space, vector: Vector, count: int) -> list[dict[str, Any]]:
    """Return the question for the `count` pictures nearest to a vector in its space."""
    count = min(count, CANDIDATES_MAX)
    search = {
        "index": index_of(space.dimensions)["name"],
        "path": _path(space.dimensions),
        "queryVector": _binary(vector),
        "numCandidates": min(count * CANDIDATES, CANDIDATES_MAX),
        "limit": count,
        "filter": {"space": {"$eq": _space(space)}},
    }
    return [{"$vectorSearch": search}, {"$project": {"score": {"$meta": "vectorSearchScore"}}}]


def found_in(rows: Iterable[Mapping[str, Any]]) -> list[Found]:
    """Return what was found: MongoDB's score of a cosine is (1 + cosine) / 2."""
    return [Found(row["_id"], min(1.0, max(-1.0, 2 * row["score"] - 1))) for row in rows]


def _binary(vector: Vector) -> Binary:
    return Binary.from_vector(vector.tolist(), BinaryVectorDtype.FLOAT32)


class VectorSearch:
    """Mirrors the vectors of a gallery, and asks MongoDB for the nearest; see `Neighbours`."""

    def __init__(self, vectors: Collection, gallery: Gallery, most_ms: int) -> None:
        self._vectors = vectors
        self._most_ms = most_ms
        self._gallery = gallery
        self._dirty: set[str] = set()
        self._news = asyncio.Event()
        self._queryable: frozenset[str] = frozenset()
        self._missing: str | None = "the vector search of MongoDB is being looked for"
        gallery.listen(self.hear)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[VectorSearch]:
        """Mirror until the block is left."""
        mirroring = asyncio.create_task(self._mirror(), name="vector-search")
        try:
            yield self
        finally:
            mirroring.cancel()
            await asyncio.gather(mirroring, return_exceptions=True)

    def check(self) -> str | None:
        """Return one line that says why MongoDB cannot be asked, or None."""
        return self._missing

    def hear(self, change: Change) -> None:
        """Remember that a picture's vector may have changed."""
        if change.look:
            self._dirty.add(change.image_id)
            self._news.set()

    def answers(self, space: Space) -> bool:
        """See `Neighbours.answers`."""
        return index_of(space.dimensions)["name"] in self._queryable

    async def nearest(self, space: Space, vector: Vector, count: int) -> list[Found]:
        """See `Neighbours.nearest`."""
        return found_in(await self._asked(pipeline(space, vector, count)))

    async def prepare(self) -> None:
        """Look for indexes, and ask for those that are missing.

        Raises `Unavailable`, and OperationFailure where the server has no vector search.
        """
        held = {row["name"]: row for row in await self._asked([{"$listSearchIndexes": {}}])}
        sizes = {space.dimensions for space in self._gallery.spaces}
        missing = [index for size in sorted(sizes) if (index := index_of(size))["name"] not in held]
        if missing:
            with answering():
                await self._create(missing)
        self._queryable = frozenset(name for name, row in held.items() if row.get("queryable"))

    async def flush(self) -> None:
        """Write what changed since; a vector that is there already is not written again."""
        while self._dirty:
            some = {self._dirty.pop() for _ in range(min(BATCH, len(self._dirty)))}
            try:
                with answering():
                    await self._write(some)
            except BaseException:
                self._dirty |= some
                raise

    async def _write(self, image_ids: set[str]) -> None:
        wanted = {"_id": {"$in": sorted(image_ids)}}
        held = await fetched(lambda: self._vectors.find(wanted, {"sequence": 1}))
        sequences = {row["_id"]: row["sequence"] for row in held}
        writes: list[DeleteOne | ReplaceOne[dict[str, Any]]] = []
        for image_id in sorted(image_ids):
            look, place = self._gallery.looks.by_id[image_id], self._gallery.vector(image_id)
            if place is None or not look.exists:
                if image_id in sequences:
                    writes.append(DeleteOne({"_id": image_id}))
            elif sequences.get(image_id) != look.embedding:
                space, vector = place
                row: dict[str, Any] = {"sequence": look.embedding, "space": _space(space)}
                row[_path(space.dimensions)] = _binary(vector)
                writes.append(ReplaceOne({"_id": image_id}, row, upsert=True))
        if writes:
            await self._vectors.bulk_write(writes, ordered=False)

    async def _create(self, indexes: list[dict[str, Any]]) -> None:
        database, name = self._vectors.database, self._vectors.name
        try:
            await database.command("create", name)
        except OperationFailure as error:
            if error.code != NAMESPACE_EXISTS:
                raise
        await database.command("createSearchIndexes", name, indexes=indexes)

    async def _asked(self, stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return await aggregated(self._vectors, stages, self._most_ms)

    async def _mirror(self) -> None:
        while True:
            try:
                if self._missing is not None or not self._settled():
                    await self.prepare()
                await self.flush()
                missing = None
            except OperationFailure as error:
                said = (error.details or {}).get("errmsg", error)
                missing = (
                    "VECTOR_INDEX=mongodb needs a MongoDB with vector search (mongot), and this "
                    f"one says: {str(said)[:200]}; VECTOR_INDEX=memory needs none"
                )
            except ImageSystemError as error:
                missing = error.message
            if missing != self._missing and missing is not None:
                log.error("vector_search_not_usable", why=missing)
            self._missing = missing
            self._news.clear()
            if missing is not None:
                await asyncio.sleep(PAUSE_S)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(None if self._settled() else PAUSE_S):
                    await self._news.wait()

    def _settled(self) -> bool:
        return all(map(self.answers, self._gallery.spaces))


@asynccontextmanager
async def open_vector_search(
    settings: Settings, gallery: Gallery
) -> AsyncIterator[VectorSearch | None]:
    """Mirror a gallery into MongoDB until the block is left, if the settings say so."""
    if settings.vector_index == "memory":
        yield None
        return
    client = DRIVERS[settings.mongodb_driver](settings)
    try:
        vectors = client.get_database(settings.mongodb_database).get_collection(COLLECTION)
        most_ms = int(settings.query_timeout_s * 1000)
        async with VectorSearch(vectors, gallery, most_ms).running() as search:
            yield search
    finally:
        closing = client.close()
        if inspect.isawaitable(closing):
            await closing
