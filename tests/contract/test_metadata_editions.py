"""One suite for editions of documents: in memory, and in MongoDB with either driver."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest
from metadata_service.memory import MemoryStore
from metadata_service.mongo import MongoStore, open_store
from metadata_service.queries import Query
from metadata_service.rebuilds import Difference, Fingerprint, Rebuild
from metadata_service.rebuilds.digests import state_digest
from metadata_service.settings import Settings
from metadata_service.store import Conflict, Edition, Store

from services.metadata.tests.samples import annotated, image_id, inferred, planned, uploaded
from tests.contract.test_metadata_store import DRIVERS, document, whole

pytestmark = pytest.mark.contract

LEASE_S = 600.0


@asynccontextmanager
async def opened(kind: str, url: str) -> AsyncIterator[Store]:
    if kind == "memory":
        yield MemoryStore()
        return
    settings = Settings(
        mongodb_url=url,
        mongodb_driver=kind,  # type: ignore[arg-type]
        mongodb_database=f"test_{secrets.token_hex(6)}",
    )
    async with open_store(settings) as store:
        await store.prepare()
        yield store
        await store._documents.database.client.drop_database(settings.mongodb_database)


@pytest.fixture(params=["memory", *DRIVERS])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    url = "" if request.param == "memory" else request.getfixturevalue("mongodb_url")
    async with opened(request.param, url) as store:
        yield store


def rebuild(rebuild_id: str = "r1", **more: object) -> Rebuild:
    now = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    plain = {
        "rebuild_id": rebuild_id,
        "reason": "asked",
        "requested_at": now,
        "updated_at": now,
        "first_version": 2**60,
    }
    return msgspec.convert(plain | more, Rebuild)


async def beside(store: Store, which: Rebuild) -> Edition:
    edition = await store.editions.beside(which)
    assert edition is not None
    return edition


async def test_nobody_is_served_from_an_edition_until_it_takes_the_place(store: Store):
    one, two = image_id(1), image_id(2)
    await store.write([document(uploaded(one))])
    assert not await store.editions.whole()
    edition = await beside(store, rebuild())
    await edition.insert([document(uploaded(one, tags=["new"])), document(uploaded(two))])
    await edition.prepare()
    assert {each["_id"] for each in (await store.page(Query())).rows} == {one}
    assert await store.editions.serve(rebuild())
    assert await store.editions.whole()
    page = await store.page(Query())
    assert {each["_id"]: each["tags"] for each in page.rows} == {one: ["new"], two: []}
    assert await store.editions.serve(rebuild()), "whoever takes over asks again"
    assert await store.editions.beside(rebuild(position=5)) is None


async def test_who_read_the_old_documents_does_not_write_over_the_new(store: Store):
    await store.write([document(uploaded())])
    held = await store.get(document(uploaded()).image_id)
    assert held is not None
    edition = await beside(store, rebuild())
    await edition.insert([document(uploaded(), annotated())])
    await store.editions.serve(rebuild())
    with pytest.raises(Conflict):
        await store.write([document(planned(), start=held, first=2)])
    kept = await store.get(held.image_id)
    assert kept is not None
    assert kept.annotated is not None
    await store.write([document(planned(), start=kept, first=9)])


async def test_an_insert_tells_what_is_there_already(store: Store):
    edition = await beside(store, rebuild())
    assert await edition.insert([document(uploaded(image_id(n))) for n in (1, 2)]) == set()
    again = [document(uploaded(image_id(n), tags=["late"])) for n in (2, 3)]
    assert await edition.insert(again) == {image_id(2)}
    held = await edition.read(map(image_id, (1, 2, 3)))
    assert [held[image_id(n)].tags for n in (1, 2, 3)] == [[], [], ["late"]]
    await edition.write([document(inferred(image_id(2)), start=held[image_id(2)], first=5)])


async def test_documents_are_walked_in_the_order_of_ids(store: Store):
    edition = await beside(store, rebuild())
    names = [image_id(n) for n in range(1, 8)]
    await edition.insert([whole(name) for name in reversed(names)])
    seen: list[str] = []
    after = ""
    while page := await edition.scan(after, 3):
        seen += [each["_id"] for each in page]
        after = seen[-1]
    assert seen == names
    parts = await edition.scan(names[4], 3, ["uploaded.filename", "tombstone.seq"])
    assert parts == [{"_id": name, "uploaded": {"filename": "cat.jpg"}} for name in names[5:]]
    stored = await edition.stored([names[0], image_id(99)])
    assert list(stored) == names[:1]
    # The same state has the same digest wherever it is held, and however often it was written.
    builtins = msgspec.to_builtins(whole(names[0]), builtin_types=(datetime,))
    assert state_digest(stored[names[0]]) == state_digest(builtins)


async def test_an_edition_that_is_gone_is_never_served(store: Store):
    await store.write([document(uploaded())])
    edition = await beside(store, rebuild())
    await edition.insert([document(uploaded(image_id(2)))])
    await store.editions.drop()
    assert not await store.editions.serve(rebuild())
    assert len((await store.page(Query())).rows) == 1
    # Somebody who was held up writes on; what that leaves behind is not served either.
    if isinstance(store, MongoStore):
        await edition.insert([document(uploaded(image_id(3)))])
        assert not await store.editions.serve(rebuild())
        assert len((await store.page(Query())).rows) == 1


async def test_dropping_spares_one(store: Store):
    await (await beside(store, rebuild("a"))).insert([document(uploaded())])
    await (await beside(store, rebuild("b"))).insert([document(uploaded())])
    await store.editions.drop(but="b")
    assert await store.editions.beside(rebuild("a", position=1)) is None
    assert await store.editions.beside(rebuild("b", position=1)) is not None


async def test_documents_can_be_called_complete(store: Store):
    await store.editions.mark_whole()
    assert await store.editions.whole()
    assert (await store.page(Query())).rows == []
    assert await store.scan("", 10) == []


async def test_one_rebuild_at_a_time_and_one_process_at_it(store: Store):
    editions = store.editions
    begun = await asyncio.gather(*(editions.begin(rebuild(f"r{n}")) for n in range(6)))
    assert len({each.rebuild_id for each in begun}) == 1
    claims = await asyncio.gather(*(editions.claim(f"p{n}", LEASE_S) for n in range(6)))
    (winner,) = [f"p{n}" for n, claim in enumerate(claims) if claim is not None]
    assert await editions.renew(winner, LEASE_S)
    assert not await editions.renew("nobody", LEASE_S)
    assert not await editions.save(begun[0], "nobody")
    assert await editions.renew(winner, -1.0), "as if its time were up"
    taken = await editions.claim("other", LEASE_S)
    assert taken is not None
    assert taken.attempts == 2
    assert not await editions.save(begun[0], winner)


async def test_what_was_written_down_is_found_and_makes_room_when_it_ends(store: Store):
    editions = store.editions
    assert await editions.claim("p", LEASE_S) is None
    first = await editions.begin(rebuild("r1"))
    assert await editions.claim("p", LEASE_S) is not None
    first = msgspec.structs.replace(
        first,
        phase="done",
        attempts=1,
        position=7,
        before=Fingerprint(documents=1, digest="ab" * 32),
        differences=[Difference(image_id=image_id(1), kind="state")],
    )
    assert await editions.save(first, "p")
    assert await editions.find("r1") == first
    assert await editions.find("r2") is None
    second = await editions.begin(rebuild("r2", requested_at=datetime(2027, 1, 1, tzinfo=UTC)))
    assert second.rebuild_id == "r2"
    assert [each.rebuild_id for each in await editions.latest()] == ["r2", "r1"]
