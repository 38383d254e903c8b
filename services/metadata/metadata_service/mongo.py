"""The store in MongoDB, through PyMongo's asynchronous client or Motor.

Only calls that both drivers share are used; `metadata_service.mongo_edition` has those on
documents, `metadata_service.rebuilds.mongo` those that exchange collections.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from bson.codec_options import CodecOptions

from metadata_service.drivers import DRIVERS
from metadata_service.gathering import Gathering
from metadata_service.memory_queries import value
from metadata_service.mongo_edition import (
    DURABLE,
    MongoEdition,
    aggregated,
    answering,
    fetched,
)
from metadata_service.mongo_queries import (
    WITHOUT_VECTOR,
    criteria,
    order,
    pipeline,
    projection,
    reading,
)
from metadata_service.mongo_stats import STAGES, survey
from metadata_service.mongo_words import CommonWords
from metadata_service.queries import Page, Position, Query, Row
from metadata_service.rebuilds.mongo import DOCUMENTS, MongoEditions
from metadata_service.search.facets import VALUES, Counts, Facet, Value
from metadata_service.settings import Settings
from metadata_service.stats import Survey

__all__ = ["MongoStore", "open_store"]

#: Without `tzinfo`: times are in UTC all the same, and reading a page costs a third less.
CODEC: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
#: Index builds and exchanges of collections take as long as there are documents.
PATIENCE_S = 3600.0
#: Statistics walk over all documents.
SURVEY_MS = 120_000


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[MongoStore]:
    """Connect with the driver that the settings name; returns before the server answers."""
    connect = DRIVERS[settings.mongodb_driver]
    most_ms = int(settings.query_timeout_s * 1000)
    patient = msgspec.structs.replace(settings, mongodb_answer_timeout_s=PATIENCE_S)
    clients = [connect(settings), connect(patient)]
    try:
        databases = [
            client.get_database(settings.mongodb_database, codec_options=CODEC)
            for client in clients
        ]
        database, patiently = databases
        yield MongoStore(database, patiently, most_ms, settings.ranked_max)
    finally:
        for client in clients:
            closing = client.close()
            if inspect.isawaitable(closing):
                await closing


class MongoStore(MongoEdition):
    """See `metadata_service.store.Store`. `patient` is the database on a client that waits.

    `most_ms`: a question that takes the server longer is given up. `ranked_max`: pictures that
    are ranked at most, where more have the words that are looked for.
    """

    def __init__(self, database: Any, patient: Any, most_ms: int, ranked_max: int) -> None:
        self._most_ms = most_ms
        self._patient = patient
        super().__init__(database.get_collection(DOCUMENTS, write_concern=DURABLE))
        self.editions = MongoEditions(database, patient, self)
        self._shown: Gathering[Row] = Gathering(self._show)
        self._common = CommonWords(self._documents, ranked_max, most_ms)

    async def ping(self) -> None:
        """See `Store.ping`."""
        with answering():
            await self._documents.database.command("ping")

    async def show(self, image_id: str, paths: Sequence[str] | None = None) -> Row | None:
        """See `Store.show`."""
        if paths is None:
            return await self._shown.get(image_id)
        with answering():
            found: Row | None = await self._documents.find_one({"_id": image_id}, reading(paths))
        return found

    async def _show(self, image_ids: Sequence[str]) -> dict[str, Row]:
        wanted = {"_id": {"$in": list(image_ids)}}
        found = await fetched(lambda: self._documents.find(wanted, WITHOUT_VECTOR))
        return {row["_id"]: row for row in found}

    async def page(self, query: Query) -> Page:
        """See `Store.page`."""
        limit, read = query.limit + 1, projection(query)
        if query.words is not None:
            seldom = await self._common.seldom(query.words)
            if seldom is not None:
                return await self._common.page(query, seldom)
            stages = [*pipeline(query), {"$sort": dict(order(query))}, {"$limit": limit}]
            rows = await aggregated(self._documents, [*stages, {"$project": read}], self._most_ms)
        else:
            rows = await fetched(
                lambda: (
                    self._documents.find(criteria(query), read, max_time_ms=self._most_ms)
                    .sort(order(query))
                    .limit(limit)
                )
            )
        if len(rows) < limit:
            return Page(rows=rows)
        last = rows[query.limit - 1]
        position = Position(key=value(last, query.sort.field), image_id=last["_id"])
        return Page(rows=rows[: query.limit], next=position)

    async def count(self, query: Query, most: int) -> int:
        """See `Store.count`."""
        if query.words is None:
            stages = [{"$match": criteria(query)}, {"$limit": most}, {"$count": "found"}]
        elif (seldom := await self._common.seldom(query.words)) is not None:
            return await self._common.count(query, seldom, most)
        else:
            stages = [*pipeline(query), {"$limit": most}, {"$count": "found"}]
        found = await aggregated(self._documents, stages, self._most_ms)
        return int(found[0]["found"]) if found else 0

    async def facets(self, query: Query, facets: Sequence[Facet], most: int) -> Counts:
        """See `Store.facets`."""
        found = await self._matching(query)
        read = {facet.name: _tally_value(facet) for facet in facets}
        tallies = {facet.name: _tally(facet) for facet in facets}
        stages = [
            *found,
            {"$limit": most},
            {"$project": {"_id": 0, **read}},
            {"$facet": {"counted": [{"$count": "counted"}], **tallies}},
        ]
        (counts,) = await aggregated(self._documents, stages, self._most_ms)
        counted = counts.pop("counted")
        values = {
            name: [Value(value=each["_id"], count=each["count"]) for each in tally]
            for name, tally in counts.items()
        }
        return Counts(counted=counted[0]["counted"] if counted else 0, values=values)

    async def survey(self) -> Survey:
        """See `Store.survey`."""
        patient = self._patient.get_collection(DOCUMENTS)
        (found,) = await aggregated(patient, STAGES, SURVEY_MS)
        return survey(found)

    async def _matching(self, query: Query) -> list[Row]:
        """Return the stages that find what a query asks for, in no order."""
        if query.words is None:
            return [{"$match": criteria(query)}]
        seldom = await self._common.seldom(query.words)
        return pipeline(query) if seldom is None else await self._common.matching(query, seldom)


def _tally_value(facet: Facet) -> Any:
    if facet.year:
        return {"$year": f"${facet.path}"}
    return f"${facet.path}"


def _tally(facet: Facet) -> list[Row]:
    name = facet.name
    return [
        *([{"$unwind": f"${name}"}] if facet.many else [{"$match": {name: {"$ne": None}}}]),
        {"$project": {name: 1}},
        {"$group": {"_id": f"${name}", "count": {"$sum": 1}}},
        {"$sort": {"count": -1, "_id": 1}},
        {"$limit": VALUES},
    ]
