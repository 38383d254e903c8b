"""One suite for the metadata store: in memory, and in MongoDB with either driver."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from imagesystem import ids
from imagesystem.bus import Received
from imagesystem.errors import Unavailable
from imagesystem.events import Fact
from metadata_service.documents import Document, Variant
from metadata_service.filters import conditions
from metadata_service.folding import fold
from metadata_service.indexes import INDEXES
from metadata_service.memory import MemoryStore
from metadata_service.mongo import MongoStore, open_store
from metadata_service.mongo_queries import criteria
from metadata_service.queries import NEWEST, Position, Query
from metadata_service.read_model import ReadModel
from metadata_service.search.words import Wanted
from metadata_service.settings import Settings
from metadata_service.store import Conflict, Store, Unstorable
from metadata_service.views import plain

from services.metadata.tests.samples import (
    IMAGE,
    annotated,
    augmented,
    deleted,
    failed,
    image_id,
    inferred,
    planned,
    uploaded,
)
from tests.conftest import mongo_server

pytestmark = pytest.mark.contract

T = TypeVar("T")

DRIVERS = ["pymongo", "motor"]


def settings_for(url: str, driver: str, **more: Any) -> Settings:
    return Settings(
        mongodb_url=url,
        mongodb_driver=driver,  # type: ignore[arg-type]
        mongodb_database=f"test_{secrets.token_hex(6)}",
        **more,
    )


@asynccontextmanager
async def opened(kind: str, url: str, **more: Any) -> AsyncIterator[Store]:
    if kind == "memory":
        yield MemoryStore()
        return
    settings = settings_for(url, kind, **more)
    async with open_store(settings) as store:
        await store.prepare()
        yield store
        await store._documents.database.client.drop_database(settings.mongodb_database)


@pytest.fixture(params=["memory", *DRIVERS])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    kind = request.param
    url = "" if kind == "memory" else request.getfixturevalue("mongodb_url")
    async with opened(kind, url) as store:
        yield store


def document(*facts: Fact, start: Document | None = None, first: int = 1) -> Document:
    made = start
    for sequence, fact in enumerate(facts, start=first):
        made = fold(made, fact, sequence) or made
    assert made is not None
    return made


def whole(name: str = IMAGE) -> Document:
    return document(
        uploaded(name, tags=["a"]),
        planned(name, tasks=("analysis", "labels")),
        inferred(name),
        augmented(name),
        annotated(name, tags=("cat", "sofa"), caption="Ein Käfer 🪲\n"),
        failed(name, stage="labels"),
        failed(name, stage="with.dots and $dollar"),
    )


async def test_a_document_comes_back_as_it_went(store: Store):
    assert await store.get(IMAGE) is None
    await store.write([whole()])
    written = msgspec.structs.replace(whole(), version=1)
    assert await store.get(IMAGE) == written
    assert await store.read([IMAGE, image_id(5)]) == {IMAGE: written}
    assert await store.read([]) == {}


async def test_many_are_shown_at_once(store: Store):
    names = [image_id(number) for number in range(100)]
    made = [document(uploaded(name)) for name in names]
    await store.write(made)
    found = await asyncio.gather(*(store.show(name) for name in [*names, image_id(100), *names]))
    assert found[100] is None
    rows = [row for row in found if row is not None]
    assert [row["_id"] for row in rows] == [*names, *names]
    assert rows[0] == await store.show(names[0]) == plain(made[0]) | {"version": 1}


async def test_a_tombstone_takes_the_place_of_the_document(store: Store):
    await store.write([whole()])
    held = await store.get(IMAGE)
    await store.write([document(deleted(), start=held, first=20)])
    buried = await store.get(IMAGE)
    assert buried is not None
    assert (buried.version, buried.deleted, buried.seq) == (2, True, {})
    assert (await store.page(Query())).rows == []


async def test_whoever_read_an_older_version_does_not_write(store: Store):
    await store.write([document(uploaded())])
    first = await store.get(IMAGE)
    assert first is not None
    await store.write([document(planned(), start=first, first=2)])
    with pytest.raises(Conflict):
        await store.write([document(inferred(), start=first, first=3)])
    held = await store.get(IMAGE)
    assert held is not None
    assert held.seq == {"uploaded": 1, "planned": 2}


async def test_only_one_of_two_first_writers_wins(store: Store):
    outcomes = await asyncio.gather(
        *(store.write([document(uploaded(filename=f"{n}.jpg"))]) for n in range(8)),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict"] * 7 + ["NoneType"]
    held = await store.get(IMAGE)
    assert held is not None
    assert held.version == 1


async def test_a_conflict_over_one_document_leaves_the_others_written(store: Store):
    await store.write([document(uploaded(image_id(1)))])
    with pytest.raises(Conflict):
        await store.write([document(uploaded(image_id(n))) for n in (1, 2, 3)])
    assert set(await store.read(map(image_id, range(5)))) == {image_id(n) for n in (1, 2, 3)}


async def test_pages(store: Store):
    for number in range(1, 24):
        made = document(
            uploaded(image_id(number), minutes=number // 4, owner="ab"[number % 2]),
            augmented(image_id(number)),
        )
        await store.write([made])
    await store.write([document(planned(image_id(90)))])  # half known
    await store.write([document(uploaded(image_id(91)), deleted(image_id(91)))])
    seen: list[str] = []
    after: Position | None = None
    while True:
        page = await store.page(Query(limit=5, after=after))
        seen += [item["_id"] for item in page.rows]
        assert not any("augmented" in item for item in page.rows)
        assert all(item["variant_count"] == 1 for item in page.rows)
        after = page.next
        if after is None:
            break
        assert len(page.rows) == 5
        assert after.image_id == seen[-1]
    assert seen == [image_id(number) for number in range(23, 0, -1)]
    odd = await store.page(Query(conditions=conditions({"owner": "b"}), limit=12))
    assert [item["_id"] for item in odd.rows] == [image_id(n) for n in range(23, 0, -2)]
    assert odd.next is None


FOUND: list[tuple[dict[str, Any], set[int]]] = [
    ({"tag": ["cat"]}, {1, 2}),
    ({"tag": ["cat", "sofa"]}, {2}),
    ({"status": ["ready"]}, {2}),
    ({"status": ["pending", "ready"]}, {1, 2, 3}),
    ({"kind": ["photo"]}, {2}),
    ({"colour": ["teal"]}, {2}),
    ({"media_type": ["image/png"]}, {3}),
    ({"orientation": "portrait"}, {3}),
    ({"min_width": 640}, {1, 2}),
    ({"max_height": 479}, set()),
    ({"min_bytes": 1000, "max_bytes": 1000}, {1, 2}),
    ({"uploaded_after": datetime(2026, 1, 2, 3, 6, 5, 678000, tzinfo=UTC)}, {2, 3}),
    ({"uploaded_before": datetime(2026, 1, 2, 3, 6, 5, 678000, tzinfo=UTC)}, {1}),
    ({"filename": "CAT.J"}, {1, 2}),
    ({"filename": ".*"}, set()),
    ({"filename": "(ö"}, {3}),
    ({"filename": "(Ö"}, {3}),
    ({"filename": "\\"}, set()),
    ({"tag": ["cat"], "min_width": 10, "status": ["pending"]}, {1}),
]


async def test_every_condition_finds_what_it_says(store: Store):
    two, three = image_id(2), image_id(3)
    await store.write(
        [
            document(uploaded(image_id(1), minutes=1, tags=["cat"])),
            document(
                uploaded(two, minutes=2, tags=["cat", "sofa"], filename="My Cat.JPG"),
                planned(two),
                inferred(two),
            ),
            document(
                uploaded(
                    three,
                    minutes=3,
                    filename="plan (Ö).png",
                    media_type="image/png",
                    width=300,
                    height=600,
                    size_bytes=50,
                )
            ),
        ]
    )
    for given, expected in FOUND:
        page = await store.page(Query(conditions=conditions(given)))
        found = {int(item["_id"][-12:], 16) for item in page.rows}
        assert found == expected, given


async def test_facts_in_any_order_through_the_read_model(store: Store):
    facts: list[Fact] = []
    for number in range(1, 16):
        name = image_id(number)
        facts += [uploaded(name), planned(name), inferred(name), annotated(name), augmented(name)]
        facts += [deleted(name)] if number % 5 == 0 else []
    numbered = [
        Received(event=fact, subject=fact.subject, sequence=n, published_at=ids.now())
        for n, fact in enumerate(facts, start=1)
    ]
    expected: dict[str, Document] = {}
    for each in numbered:
        name = each.event.image_id
        expected[name] = fold(expected.get(name), each.event, each.sequence) or expected[name]
    async with (
        ReadModel(store, lambda _: None).running() as one,
        ReadModel(store, lambda _: None).running() as two,
    ):
        await asyncio.gather(
            *(model.apply(each) for each in reversed(numbered) for model in (one, two))
        )
    held = await store.read(expected)
    assert {
        name: msgspec.structs.replace(found, version=0) for name, found in held.items()
    } == expected


async def test_preparing_again_changes_nothing(store: Store):
    await store.prepare()
    await store.prepare()
    await store.ping()


# What only a real MongoDB has.


@pytest.fixture(params=DRIVERS)
async def mongo(request: pytest.FixtureRequest, mongodb_url: str) -> AsyncIterator[MongoStore]:
    async with opened(request.param, mongodb_url) as store:
        assert isinstance(store, MongoStore)
        yield store


async def test_an_index_that_differs_is_made_anew(mongo: MongoStore):
    index = INDEXES[0]
    await mongo._documents.drop_index(index.name)
    await mongo._documents.create_index([("owner", 1), ("nothing", 1)], name=index.name)
    other = INDEXES[1]
    await mongo._documents.drop_index(other.name)
    await mongo._documents.create_index(list(other.keys), name="by_another_name")
    await mongo.prepare()
    found = await mongo._documents.index_information()
    assert set(found) == {"_id_", *(each.name for each in INDEXES)}
    for each in INDEXES:
        if each.weights is None:
            assert [tuple(key) for key in found[each.name]["key"]] == list(each.keys)
        else:
            assert found[each.name]["weights"] == each.weights


async def test_a_document_that_cannot_be_stored_is_permanent(mongo: MongoStore):
    variant = Variant(
        task_id="t",
        object="o",
        media_type="image/png",
        width=2**70,
        height=1,
        augmented_at=datetime(2026, 1, 1, tzinfo=UTC),
        receipt="{}",
    )
    odd = msgspec.structs.replace(whole(), augmented={"v": variant})
    with pytest.raises(Unstorable):
        await mongo.write([odd])
    large = msgspec.structs.replace(whole(), caption="x" * 17_000_000)
    with pytest.raises(Unstorable):
        await mongo.write([large])
    assert await mongo.get(IMAGE) is None


async def test_pages_are_walked_on_an_index(mongo: MongoStore):
    """No sort in memory, and nothing examined beyond the page, also in the middle."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    made = [
        document(
            msgspec.structs.replace(
                uploaded(image_id(n), owner="ab"[n % 2], tags=["t"]),
                uploaded_at=start + timedelta(seconds=n // 10),
            )
        )
        for n in range(1, 400)
    ]
    await mongo.write(made)
    after = Position(key=start + timedelta(seconds=20), image_id=image_id(205))
    for given in ({}, {"owner": "a"}, {"tag": ["t"]}, {"status": ["pending"]}):
        query = Query(conditions=conditions(given), after=after, limit=20)
        plan = await explained(mongo, query)
        assert "SORT" not in stages(plan["queryPlanner"]["winningPlan"])
        assert "COLLSCAN" not in stages(plan["queryPlanner"]["winningPlan"])
        assert plan["executionStats"]["nReturned"] == 21
        assert plan["executionStats"]["totalDocsExamined"] <= 1.5 * 21


async def explained(mongo: MongoStore, query: Query) -> dict[str, Any]:

    command = {
        "find": mongo._documents.name,
        "filter": criteria(query),
        "sort": {NEWEST.field: -1, "_id": -1},
        "limit": query.limit + 1,
    }
    return dict(
        await mongo._documents.database.command("explain", command, verbosity="executionStats")
    )


def stages(plan: dict[str, Any]) -> set[str]:
    inner = [plan[key] for key in ("inputStage", "queryPlan") if key in plan]
    inner += plan.get("inputStages", [])
    return {plan.get("stage", "")}.union(*map(stages, inner))


@pytest.mark.parametrize("driver", DRIVERS)
async def test_nobody_there(driver: str):
    settings = settings_for("mongodb://127.0.0.1:9", driver, mongodb_select_timeout_s=0.2)
    async with open_store(settings) as store:
        for call in (
            store.ping(),
            store.get(IMAGE),
            store.read([IMAGE]),
            store.page(Query()),
            store.write([whole()]),
            store.prepare(),
        ):
            with pytest.raises(Unavailable) as raised:
                await call
            assert raised.value.dependency == "mongodb"


@pytest.mark.parametrize("driver", DRIVERS)
async def test_wrong_credentials_are_an_outage_not_a_bad_message(driver: str, mongodb_url: str):
    url = mongodb_url.replace("mongodb://", "mongodb://nobody:wrong@")
    async with open_store(settings_for(url, driver)) as store:
        with pytest.raises(Unavailable, match="refuses"):
            await store.write([whole()])


@pytest.mark.parametrize("driver", DRIVERS)
async def test_words_are_not_looked_for_before_there_is_an_index(driver: str, mongodb_url: str):
    async with open_store(settings_for(mongodb_url, driver)) as store:
        with pytest.raises(Unavailable, match="refuses"):
            await store.page(Query(words=Wanted(phrases=(" cat ",))))


async def available(call: Callable[[], Awaitable[T]]) -> T:
    """Return what `call` answers once the server is back."""
    while True:
        try:
            return await call()
        except Unavailable:
            await asyncio.sleep(0.05)


@pytest.mark.faults
@pytest.mark.parametrize("driver", DRIVERS)
async def test_what_was_acknowledged_survives_kill_9(driver: str, tmp_path: Path):
    with mongo_server(tmp_path) as server:
        url = f"mongodb://127.0.0.1:{server.port}"
        settings = settings_for(url, driver, mongodb_select_timeout_s=0.5)
        async with open_store(settings) as store:
            await available(store.prepare)
            acknowledged: set[int] = set()
            async with ReadModel(store, lambda _: None).running() as model:

                async def say(number: int) -> None:
                    fact = uploaded(image_id(number))
                    received = Received(
                        event=fact, subject=fact.subject, sequence=number, published_at=ids.now()
                    )
                    while number not in acknowledged:
                        try:
                            await model.apply(received)
                            acknowledged.add(number)
                        except Unavailable:
                            await asyncio.sleep(0.05)

                for round_ in range(2):
                    numbers = range(round_ * 200 + 1, round_ * 200 + 201)
                    saying = asyncio.gather(*map(say, numbers))
                    while len(acknowledged) < round_ * 200 + 1:
                        await asyncio.sleep(0.001)
                    server.kill()
                    before = [image_id(number) for number in acknowledged]
                    await asyncio.to_thread(server.start)
                    held = await available(partial(store.read, before))
                    assert len(held) == len(before)
                    await saying
            held = await store.read(map(image_id, range(1, 401)))
            assert len(held) == 400
            assert all(found.version == 1 for found in held.values())


@pytest.mark.faults
@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_server_that_hangs_is_an_outage(driver: str, tmp_path: Path):
    """It takes connections and never answers: worse than one that is gone."""
    with mongo_server(tmp_path) as server:
        url = f"mongodb://127.0.0.1:{server.port}"
        settings = settings_for(
            url, driver, mongodb_select_timeout_s=0.5, mongodb_answer_timeout_s=1.0
        )
        async with open_store(settings) as store:
            await available(partial(store.write, [whole()]))
            assert server.process is not None
            server.process.send_signal(signal.SIGSTOP)
            try:
                for _ in range(2):
                    with pytest.raises(Unavailable):
                        await store.get(IMAGE)
                    with pytest.raises(Unavailable):
                        await store.write([document(uploaded(image_id(2)))])
            finally:
                server.process.send_signal(signal.SIGCONT)
            held = await available(partial(store.get, IMAGE))
            assert held is not None
            assert held.version == 1
