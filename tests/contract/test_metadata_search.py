"""Searching: MongoDB with either driver finds what the store in memory finds, on indexes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from metadata_service.filters import conditions
from metadata_service.memory import MemoryStore
from metadata_service.mongo import MongoStore
from metadata_service.mongo_queries import criteria, order, projection
from metadata_service.queries import RELEVANCE, SORTS, Position, Query, Row
from metadata_service.search.facets import FACETS
from metadata_service.search.language import meaning
from metadata_service.store import Store
from metadata_service.views import Selection

from services.metadata.tests.gallery import picture
from tests.contract.test_metadata_store import DRIVERS, opened

pytestmark = pytest.mark.contract

GALLERY = [picture(number) for number in range(1, 241)]

#: Queries, each of which finds something in the gallery.
SAID = [
    "owner:ann",
    "tag:cat -tag:private",
    'tag:cat,sofa tag:"two words"',
    "-tag:cat,sofa",
    "format:png,webp status:ready",
    "status:pending",
    "kind:photo orientation:landscape",
    "-orientation:square",
    'camera:"Canon EOS R5"',
    '-camera:"Canon EOS R5" has:camera',
    'lens:"RF 24-70 mm" iso:400',
    "filename:cat_1",
    "color:teal",
    "color:#008080",
    "color:#10707a:30 -color:gold",
    "-color:#008080:5",
    "label:cat",
    "label:cat:0.6",
    'label:"iPhone screenshot:0.25"',
    "-label:cat:0.5",
    "object:person",
    "object:person:2",
    "faces>1",
    "faces:0",
    "faces:1..2",
    "-faces:1..2",
    "faces>=9",
    "faces<=1",
    "has:text -has:location",
    "has:favourite",
    "rating>=4",
    "width>=640 height<3000 mp>1.5",
    "bytes<100000",
    "f_number:1.8",
    "sharpness>400",
    "taken:2024",
    "taken:2021..2023",
    "taken>=2024-03",
    "-taken:2024",
    "uploaded:2026-01-02T03:30..2026-01-02T04:00",
    "uploaded>2026-01-02T03:30:00Z",
    "near:52.5,13.4,20",
    "near:52.5,13.4,4000km",
    "near:-89.5,0,4000",
    "near:0,180,500",
    "box:13,52,14,53",
    "box:179,-10,-179,10",
    "box:-180,-90,180,90",
    "cat",
    "dog cat",
    '"lazy dog"',
    "cat -dog",
    'cat -"lazy dog"',
    "kase",
    "CAFÉ 2024",
    "日本",
    "本",
    "iphone",
    "img",
    "jumps tag:cat",
    "scan faces>0",
]


@pytest.fixture(scope="module")
async def twin() -> MemoryStore:
    return await filled(MemoryStore())


@pytest.fixture(scope="module", params=DRIVERS)
async def mongo(request: pytest.FixtureRequest, mongodb_url: str) -> AsyncIterator[MongoStore]:
    async with opened(request.param, mongodb_url) as store:
        assert isinstance(store, MongoStore)
        yield await filled(store)


#: Pictures that are ranked at most, where words are common in so small a gallery.
FEW = 25


@pytest.fixture(scope="module", params=DRIVERS)
async def crowded(request: pytest.FixtureRequest, mongodb_url: str) -> AsyncIterator[MongoStore]:
    """A store to which most words are common."""
    async with opened(request.param, mongodb_url, ranked_max=FEW) as store:
        assert isinstance(store, MongoStore)
        yield await filled(store)


async def filled(store: Any) -> Any:
    await store.write(GALLERY)
    return store


def query(text: str, **more: Any) -> Query:
    said = meaning(text)
    return Query(conditions=said.conditions, words=said.words, **more)


async def walked(store: Store, asked: Query) -> list[Row]:
    """Return the rows of all pages."""
    rows: list[Row] = []
    after: Position | None = None
    while True:
        page = await store.page(msgspec.structs.replace(asked, after=after))
        rows += page.rows
        if page.next is None:
            return rows
        assert len(page.rows) == asked.limit
        after = page.next


@pytest.mark.parametrize("text", SAID)
async def test_mongodb_finds_what_memory_finds(mongo: MongoStore, twin: MemoryStore, text: str):
    asked = query(text, limit=50)
    if asked.words is not None:
        asked = msgspec.structs.replace(asked, sort=RELEVANCE)
    expected = await walked(twin, asked)
    found = await walked(mongo, asked)
    assert expected, "a query that finds nothing shows nothing"
    assert len(expected) < len(GALLERY)
    if asked.words is None:
        assert found == expected
    else:
        scores = {row["_id"]: row["score"] for row in expected}
        assert {row["_id"]: pytest.approx(row["score"]) for row in found} == scores
    assert await mongo.count(asked, 1000) == len(expected)
    assert await mongo.count(asked, 2) == min(2, len(expected))


def ranking(rows: list[Row]) -> list[tuple[float, str]]:
    return sorted(((row["score"], row["_id"]) for row in rows), reverse=True)


@pytest.mark.parametrize(
    "text",
    [
        "cat",
        "dog cat",
        '"lazy dog"',
        "cat -dog",
        "本",
        "jumps tag:cat",
        "jpg",
        "jpg 77",
        "jpg -cat",
    ],
)
async def test_of_words_that_many_have_the_newest_are_ranked(
    crowded: MongoStore, twin: MemoryStore, text: str
):
    asked = query(text, limit=40)
    every = await walked(twin, asked)
    best = msgspec.structs.replace(asked, sort=RELEVANCE)
    first = await crowded.page(best)
    assert first.ranked == (FEW if len(every) > FEW else None)
    found = await walked(crowded, msgspec.structs.replace(best, limit=10))
    assert [row["_id"] for row in found] == [name for _, name in ranking(found)]
    scores = {row["_id"]: row["score"] for row in every[:FEW]}
    assert {row["_id"]: pytest.approx(row["score"]) for row in found} == scores
    # In any other order all of them are found.
    assert [row["_id"] for row in await walked(crowded, asked)] == [row["_id"] for row in every]
    assert await crowded.count(asked, 1000) == len(every)
    facets = [FACETS["tag"], FACETS["year"]]
    assert await crowded.facets(asked, facets, 1000) == await twin.facets(asked, facets, 1000)


async def test_the_least_score_where_many_have_the_word(crowded: MongoStore, twin: MemoryStore):
    newest = (await walked(twin, query("cat", limit=500)))[:FEW]
    least = sorted(row["score"] for row in newest)[FEW // 2]
    kept = {row["_id"] for row in newest if row["score"] >= least}
    asked = query("cat", limit=500, sort=RELEVANCE, least_score=least)
    assert {row["_id"] for row in await walked(crowded, asked)} == kept
    assert await crowded.count(asked, 1000) == 1000
    assert (await crowded.facets(asked, [FACETS["tag"]], 1000)).counted == len(kept)


@pytest.mark.parametrize("name", sorted(set(SORTS) - {"relevance"}))
async def test_every_order(mongo: MongoStore, twin: MemoryStore, name: str):
    for text in ("", "tag:cat", "cat"):
        asked = query(text, limit=17, sort=SORTS[name])
        expected = [row["_id"] for row in await walked(twin, asked)]
        assert [row["_id"] for row in await walked(mongo, asked)] == expected
        assert len(expected) == len(set(expected)) > 17


async def test_the_least_score(mongo: MongoStore, twin: MemoryStore):
    for least in (2, 5, 8):
        asked = query("cat", limit=500, sort=RELEVANCE, least_score=least)
        found = {row["_id"] for row in await walked(mongo, asked)}
        assert found == {row["_id"] for row in await walked(twin, asked)}
        assert 0 < len(found) < 200


async def test_facets(mongo: MongoStore, twin: MemoryStore):
    for text in ("", "has:faces", "cat"):
        asked = query(text)
        expected = await twin.facets(asked, list(FACETS.values()), 1000)
        assert await mongo.facets(asked, list(FACETS.values()), 1000) == expected
        assert all(expected.values.values())
    assert (await mongo.facets(query(""), [FACETS["tag"]], 10)).counted == 10
    assert (await mongo.facets(query("tag:nothing"), [FACETS["tag"]], 10)).counted == 0


async def test_statistics(mongo: MongoStore, twin: MemoryStore):
    expected = await twin.survey()
    assert await mongo.survey() == expected
    assert expected.images == len(GALLERY)
    assert expected.stages["labels"].backlog > 0
    assert expected.stages["embedding"].answered == expected.embeddings[0].images > 0


async def test_parts_of_documents(mongo: MongoStore, twin: MemoryStore):
    for fields in (
        "id",
        "filename,tags,inferred.labels",
        "inferred,inferred.labels,exif.iso",
        "variants,inferred.embedding.result.vector",
        "position,links",
    ):
        paths = Selection.parse(fields).paths
        asked = query("has:embedding", paths=paths, limit=5)
        expected = (await twin.page(asked)).rows
        assert (await mongo.page(asked)).rows == expected
        assert {"_id", "uploaded"} <= set(expected[0])
        one = expected[0]["_id"]
        assert await mongo.show(one, paths) == await twin.show(one, paths)
    analysed = next(each for each in GALLERY if "embedding" in each.inferred)
    whole = await mongo.show(analysed.image_id)
    assert whole is not None
    assert "vector" not in whole["inferred"]["embedding"]["result"]


#: Every shape of query that has an index: by parameters, by the query language, by an order.
SHAPES: dict[str, Query] = {
    "newest": Query(),
    "oldest": Query(sort=SORTS["oldest"]),
    "taken": Query(sort=SORTS["taken"]),
    "taken_oldest": Query(sort=SORTS["taken_oldest"]),
    "largest": Query(sort=SORTS["largest"]),
    "smallest": Query(sort=SORTS["smallest"]),
    **{
        text: query(text)
        for text in (
            "owner:ann",
            "tag:cat",
            "tag:cat,sofa",
            "status:ready",
            "format:png",
            "kind:graphic",
            "color:teal",
            'camera:"Canon EOS R5"',
            "orientation:square",
            "label:beach",
            "label:beach:0.75",
            "object:person:2",
            "faces>1",
            "has:text",
            "has:location",
            "color:#008080:5",
            "uploaded:2026-01-02T03:30..2026-01-02T03:40",
        )
    },
    "any_tag": Query(conditions=conditions({"any_tag": ["cat", "sofa"]})),
}


@pytest.mark.parametrize("name", SHAPES)
async def test_every_shape_is_answered_by_an_index(mongo: MongoStore, name: str):
    """No sort in memory; documents examined for each that is returned: at most 1.5."""
    first = msgspec.structs.replace(SHAPES[name], limit=10)
    position = (await mongo.page(msgspec.structs.replace(first, limit=3))).next
    for asked in (first, msgspec.structs.replace(first, after=position)):
        plan = await explained(mongo, asked)
        assert not {"SORT", "COLLSCAN"} & stages(plan["queryPlanner"]["winningPlan"])
        stats = plan["executionStats"]
        assert stats["nReturned"] >= 3
        assert stats["totalDocsExamined"] <= 1.5 * stats["nReturned"], stats


async def explained(mongo: MongoStore, asked: Query) -> dict[str, Any]:
    command = {
        "find": mongo._documents.name,
        "filter": criteria(asked),
        "sort": dict(order(asked)),
        "projection": projection(asked),
        "limit": asked.limit + 1,
    }
    return dict(
        await mongo._documents.database.command("explain", command, verbosity="executionStats")
    )


def stages(plan: dict[str, Any]) -> set[str]:
    inner = [plan[key] for key in ("inputStage", "queryPlan") if key in plan]
    inner += plan.get("inputStages", [])
    return {plan.get("stage", "")}.union(*map(stages, inner))
