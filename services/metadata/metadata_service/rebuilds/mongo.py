"""Editions in MongoDB: a collection made beside the one that is served, then renamed over it.

A note inside a collection says whether its documents are complete. It goes where the collection
goes: a collection that was dropped, or comes from an empty disk, has none. An edition is put in
the place of what is served only with its note saying so, which is never made by an upsert: what
is left of an edition that was renamed away cannot be served by mistake.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from imagesystem import ids
from pymongo import ReturnDocument, WriteConcern
from pymongo.errors import DuplicateKeyError, OperationFailure

from metadata_service.mongo_edition import ABOVE_IDS, DURABLE, MongoEdition, answering, fetched
from metadata_service.rebuilds.records import Rebuild

__all__ = ["DOCUMENTS", "MongoEditions"]

#: The collections: documents, and records of rebuilds.
DOCUMENTS, RECORDS = "images", "rebuilds"
#: The id of the note in a collection of documents.
NOTE = f"{ABOVE_IDS}note"
#: The id of the record of the rebuild under way; those that ended go by their own.
CURRENT = "current"
KEPT = 20
#: Durable with the next write that is: MongoDB's journal keeps the order of writes.
SOON = WriteConcern(w=1, j=False)
NAMESPACE_NOT_FOUND = 26
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class MongoEditions:
    """See `metadata_service.rebuilds.Editions`. `patient`: the database on a client that waits."""

    def __init__(self, database: Any, patient: Any, served: MongoEdition) -> None:
        self._database = database
        self._patient = patient
        self._served = served
        self._records = database.get_collection(RECORDS, write_concern=DURABLE)

    def _collection(self, name: str, concern: WriteConcern = DURABLE) -> Any:
        return self._patient.get_collection(name, write_concern=concern)

    async def whole(self) -> bool:
        """See `Editions.whole`."""
        return bool((await self._note(DOCUMENTS)).get("complete"))

    async def _note(self, collection: str) -> dict[str, Any]:
        with answering():
            found = await self._database.get_collection(collection).find_one({"_id": NOTE})
        return found or {}

    async def mark_whole(self) -> None:
        """See `Editions.mark_whole`."""
        with answering():
            await self._collection(DOCUMENTS).update_one(
                {"_id": NOTE}, {"$set": {"complete": True}}, upsert=True
            )

    async def beside(self, rebuild: Rebuild) -> MongoEdition | None:
        """See `Editions.beside`."""
        name = _name(rebuild.rebuild_id)
        collection = self._collection(name, SOON)
        if rebuild.position == 0:
            fresh = {"rebuild_id": rebuild.rebuild_id, "complete": False}
            with answering():
                await collection.update_one({"_id": NOTE}, {"$setOnInsert": fresh}, upsert=True)
        elif not await self._note(name):
            return None
        return MongoEdition(collection, rebuild.first_version)

    def served(self) -> MongoEdition:
        """See `Editions.served`."""
        return self._served

    async def serve(self, rebuild: Rebuild) -> bool:
        """See `Editions.serve`: a rename within the database, which is atomic."""
        edition = self._collection(_name(rebuild.rebuild_id))
        with answering():
            await edition.update_one({"_id": NOTE}, {"$set": {"complete": True}})
            if await edition.find_one({"_id": NOTE, "complete": True}):
                try:
                    await edition.rename(DOCUMENTS, dropTarget=True)
                except OperationFailure as error:
                    if error.code != NAMESPACE_NOT_FOUND:  # somebody else has just done it
                        raise
        return bool((await self._note(DOCUMENTS)).get("rebuild_id") == rebuild.rebuild_id)

    async def drop(self, *, but: str | None = None) -> None:
        """See `Editions.drop`."""
        with answering():
            names = await self._database.list_collection_names()
            for name in names:
                if name.startswith(_name("")) and name != _name(but or ""):
                    await self._collection(name).drop()

    async def begin(self, rebuild: Rebuild) -> Rebuild:
        """See `Editions.begin`."""
        record = _plain(rebuild) | {"_id": CURRENT, "holder": "", "lease_until": LONG_AGO}
        while True:
            with answering():
                try:
                    await self._records.insert_one(record)
                except DuplicateKeyError:
                    running = await self._records.find_one({"_id": CURRENT})
                    if running is None:  # it has just ended
                        continue
                    return _rebuild(running)
            return rebuild

    async def claim(self, holder: str, lease_s: float) -> Rebuild | None:
        """See `Editions.claim`."""
        now = ids.now()
        free = [{"holder": holder}, {"lease_until": {"$lt": now}}]
        lease = {"holder": holder, "lease_until": now + timedelta(seconds=lease_s)}
        with answering():
            found = await self._records.find_one_and_update(
                {"_id": CURRENT, "$or": free},
                {"$set": lease, "$inc": {"attempts": 1}},
                return_document=ReturnDocument.AFTER,
            )
        if found is None:
            return None
        rebuild = _rebuild(found)
        if rebuild.ended:  # whoever ended it died before it was put away
            await self._put_away(rebuild, holder)
            return None
        return rebuild

    async def renew(self, holder: str, lease_s: float) -> bool:
        """See `Editions.renew`."""
        until = ids.now() + timedelta(seconds=lease_s)
        with answering():
            result = await self._records.update_one(
                {"_id": CURRENT, "holder": holder}, {"$set": {"lease_until": until}}
            )
        return bool(result.matched_count)

    async def save(self, rebuild: Rebuild, holder: str) -> bool:
        """See `Editions.save`."""
        ours = {"_id": CURRENT, "holder": holder, "rebuild_id": rebuild.rebuild_id}
        with answering():
            result = await self._records.update_one(ours, {"$set": _plain(rebuild)})
        if result.matched_count and rebuild.ended:
            await self._put_away(rebuild, holder)
        return bool(result.matched_count)

    async def _put_away(self, rebuild: Rebuild, holder: str) -> None:
        """Make room for the next one: the record goes by its own id from now on."""
        record = _plain(rebuild) | {"_id": rebuild.rebuild_id}
        with answering():
            await self._records.replace_one({"_id": record["_id"]}, record, upsert=True)
            await self._records.delete_one({"_id": CURRENT, "holder": holder})
            for old in (await self._all())[KEPT:]:
                await self._records.delete_one({"_id": old["_id"]})

    async def find(self, rebuild_id: str) -> Rebuild | None:
        """See `Editions.find`."""
        with answering():
            found = await self._records.find_one({"rebuild_id": rebuild_id})
        return None if found is None else _rebuild(found)

    async def latest(self) -> list[Rebuild]:
        """See `Editions.latest`."""
        by_id = {record["rebuild_id"]: _rebuild(record) for record in await self._all()}
        return list(by_id.values())[:KEPT]

    async def _all(self) -> list[dict[str, Any]]:
        return await fetched(lambda: self._records.find({}).sort([("requested_at", -1)]))


def _name(rebuild_id: str) -> str:
    return f"{DOCUMENTS}_{rebuild_id}"


def _plain(rebuild: Rebuild) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(rebuild, builtin_types=(datetime,))
    return plain


def _rebuild(record: dict[str, Any]) -> Rebuild:
    return msgspec.convert(record, Rebuild)
