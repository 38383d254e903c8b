"""Documents of older shapes, and what MongoDB refuses to hold."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from metadata_service.derivation import DERIVED
from metadata_service.documents import SHAPE, Document
from metadata_service.migrations import Migrated, migrate
from metadata_service.mongo import MongoStore
from metadata_service.queries import Query
from metadata_service.search.language import meaning
from metadata_service.store import Unstorable
from metadata_service.views import plain

from services.metadata.tests.gallery import picture
from services.metadata.tests.samples import image_id, inferred
from tests.contract.test_metadata_store import document, mongo

pytestmark = pytest.mark.contract

__all__ = ["mongo"]

NUMBERS = range(1, 31)


def old(number: int) -> dict[str, Any]:
    """Return a picture as the first version kept it."""
    row = plain(picture(number))
    row = {name: kept for name, kept in row.items() if name not in {*DERIVED, "shape"}}
    embedding = row["inferred"].get("embedding")
    if embedding:
        embedding["result"]["vector"] = base64.b64encode(embedding["result"]["vector"]).decode()
    derived = ("status", "ready_at", "updated_at", "owner", "tags", "caption", "variant_count")
    whole = plain(picture(number))
    return row | {name: whole[name] for name in derived} | {"version": 7}


@pytest.fixture
async def legacy(mongo: MongoStore) -> MongoStore:
    await mongo._documents.insert_many(
        [old(number) for number in NUMBERS], bypass_document_validation=True
    )
    await mongo.editions.mark_whole()  # what a collection holds besides documents
    return mongo


async def run(store: MongoStore, *, dry_run: bool = False) -> Migrated:
    last = Migrated()
    async for counts in migrate(store, dry_run=dry_run):
        last = counts
    assert last.ended
    return last


async def test_documents_become_what_they_would_be_today(legacy: MongoStore):
    sought = Query(conditions=meaning("has:embedding").conditions)
    assert not (await legacy.page(sought)).rows
    count = len(NUMBERS)
    dry = await run(legacy, dry_run=True)
    assert (dry.seen, dry.outdated, dry.written) == (count, count, 0)
    done = await run(legacy)
    assert (done.seen, done.outdated, done.written) == (count, count, count)
    again = await run(legacy)
    assert (again.seen, again.outdated, again.written) == (count, 0, 0)
    for number in NUMBERS:
        held = await legacy.get(image_id(number))
        assert held == msgspec.structs.replace(picture(number), version=8)
    assert (await legacy.page(sought)).rows


async def test_an_old_document_is_read_as_a_new_one_and_a_fact_brings_it_up_to_date(
    legacy: MongoStore,
):
    name = next(image_id(n) for n in NUMBERS if "embedding" in picture(n).inferred)
    held = await legacy.get(name)
    assert held is not None
    assert isinstance(held.inferred["embedding"].result["vector"], bytes)
    await legacy.write([document(inferred(name, version="9"), start=held, first=5000)])
    after = await legacy.get(name)
    assert after is not None
    assert after.shape == SHAPE
    assert after.traits


async def test_mongodb_refuses_what_is_no_document(mongo: MongoStore):
    await mongo.write([picture(1)])
    odd: list[dict[str, Any]] = [
        {"status": "odd"},
        {"tags": [1]},
        {"width": "wide"},
        {"moment": "yesterday"},
        {"seq": {"uploaded": "first"}},
        {"faces": 1.5},
    ]
    for change in odd:
        made: Document = msgspec.structs.replace(picture(2), **change)
        with pytest.raises(Unstorable):
            await mongo.write([made])
    assert await mongo.get(image_id(2)) is None
