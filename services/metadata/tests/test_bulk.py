"""Edits of many pictures: progress, outcomes, deaths in between, and other people's edits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from imagesystem.events import BulkEdit
from imagesystem.ids import now

from services.metadata.tests.conftest import Open, Stage
from services.metadata.tests.samples import at, deleted, image_id, uploaded

PATH = "/metadata/bulk"


async def done(stage: Stage, **body: Any) -> dict[str, Any]:
    asked = await stage.http.post(PATH, json=body)
    assert asked.status_code == 202, asked.text
    return await ended(stage, asked.headers["location"])


async def ended(stage: Stage, path: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            found: dict[str, Any] = (await stage.http.get(path)).json()
            if found["ended_at"] is not None:
                await stage.bus.settle()
                return found
            await asyncio.sleep(0.01)


async def pictures(stage: Stage, count: int) -> list[str]:
    names = [image_id(number) for number in range(count)]
    await stage.say(
        *(uploaded(name, minutes=number, tags=["old"]) for number, name in enumerate(names))
    )
    return names


async def test_pictures_that_are_named(stage: Stage):
    names = await pictures(stage, 3)
    await stage.say(deleted(names[2]))
    task = await done(
        stage,
        ids=[*names, image_id(99), names[0]],
        change={"add_tags": ["sea", "old"], "remove_tags": ["old"], "rating": 3},
    )
    assert (task["status"], task["total"], task["done"], task["failed"]) == ("done", 4, 4, 2)
    for name in names[:2]:
        image = (await stage.get(name)).json()
        assert (image["tags"], image["rating"]) == (["sea"], 3)
    results = (await stage.http.get(f"{PATH}/{task['id']}/results")).json()
    assert [(each["image_id"], each["result"], each.get("code")) for each in results["items"]] == [
        (names[0], "edited", None),
        (names[1], "edited", None),
        (names[2], "failed", "image_deleted"),
        (image_id(99), "failed", "unknown_image"),
    ]
    assert (await stage.http.get(PATH)).json()["items"][0]["id"] == task["id"]


async def test_pictures_that_a_query_finds(stage: Stage):
    names = await pictures(stage, 450)
    query = {"uploaded_after": at(49.5).isoformat(), "tag": ["old"]}
    task = await done(stage, query=query, change={"favourite": True})
    assert (task["total"], task["done"], task["failed"]) == (400, 400, 0)
    favourites = [(await stage.get(name)).json()["favourite"] for name in names[48:52]]
    assert favourites == [False, False, True, True]
    seen, cursor = [], "0"
    while cursor is not None:
        page = (await stage.http.get(f"{PATH}/{task['id']}/results?cursor={cursor}")).json()
        seen += [each["image_id"] for each in page["items"]]
        cursor = page["next"]
    assert sorted(seen) == sorted(names[50:])


async def test_a_query_may_be_a_line(stage: Stage):
    await pictures(stage, 3)
    task = await done(stage, query="filename:cat uploaded>=2024", change={"rating": 5})
    assert (task["total"], task["failed"]) == (3, 0)


@pytest.mark.parametrize("query", ["", " ", {}, {"q": ""}, {"tag": []}])
async def test_a_query_that_asks_for_nothing_changes_nothing(stage: Stage, query: Any):
    answer = await stage.http.post(PATH, json={"query": query, "change": {"rating": 1}})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert "all pictures" in answer.json()["detail"]


async def test_a_task_goes_on_where_it_was_left(open_stage: Open):
    """The bus goes away in the middle, and what was done is asked for once more."""
    async with open_stage(apply_wait_s=0.5) as stage:
        names = await pictures(stage, 600)
        publish, count = stage.bus.publish, 0

        async def failing(event: Any, **options: Any) -> Any:
            nonlocal count
            if event.subject.endswith("annotated"):
                count += 1
                if count == 300:
                    raise RuntimeError("killed")
            return await publish(event, **options)

        stage.bus.publish = failing  # type: ignore[method-assign]
        task = await done(stage, ids=names, change={"add_tags": ["new"]})
        assert (task["status"], task["done"], task["failed"]) == ("done", 600, 0)
        said = stage.bus.sequence
        stage.bus.publish = publish  # type: ignore[method-assign]
        await stage.say(BulkEdit(task_id=task["id"], requested_at=now()))
        assert stage.bus.sequence == said + 1, "what has ended is not done again"
        for name in names[::50]:
            assert (await stage.get(name)).json()["tags"] == ["old", "new"]


async def test_nobody_elses_edit_is_lost(stage: Stage):
    names = await pictures(stage, 60)
    asked = await stage.http.post(PATH, json={"ids": names, "change": {"add_tags": ["bulk"]}})
    for name in names:
        answer = await stage.http.patch(f"/metadata/images/{name}", json={"caption": "mine"})
        assert answer.status_code == 200
    await ended(stage, asked.headers["location"])
    for name in names:
        image = (await stage.get(name)).json()
        assert (image["tags"], image["caption"]) == (["old", "bulk"], "mine")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_request"),
        ({"ids": []}, "invalid_request"),
        ({"ids": [], "change": {}}, "invalid_request"),
        ({"ids": [], "query": {}, "change": {"rating": 1}}, "invalid_request"),
        ({"change": {"rating": 1}}, "invalid_request"),
        ({"ids": ["7"], "change": {"rating": 1}}, "malformed_image_id"),
        ({"ids": [], "change": {"rating": 7}}, "invalid_request"),
        ({"ids": [], "change": {"add_tags": [""]}}, "invalid_tag"),
        ({"query": {"colour_of": "x"}, "change": {"rating": 1}}, "unknown_parameter"),
        ({"query": {"min_width": "x"}, "change": {"rating": 1}}, "invalid_parameter"),
        ({"ids": [image_id(n) for n in range(6)], "change": {"rating": 1}}, "limit_exceeded"),
    ],
)
async def test_bad_requests(open_stage: Open, body: Any, code: str):
    async with open_stage(bulk_max=5) as stage:
        answer = await stage.http.post(PATH, json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
        assert (await stage.http.get(PATH)).json()["items"] == []


async def test_a_query_that_finds_too_many_fails_and_says_so(open_stage: Open):
    async with open_stage(bulk_max=5) as stage:
        await pictures(stage, 6)
        task = await done(stage, query="uploaded>1970", change={"rating": 1})
        assert (task["status"], task["done"]) == ("failed", 0)
        assert "5" in task["error"]


async def test_tasks_that_are_not_there(stage: Stage):
    for path in ("nothing", f"{'0' * 8}-0000-4000-8000-{'0' * 12}", "a.b", "*"):
        missing = await stage.http.get(f"{PATH}/{path}")
        assert (missing.status_code, missing.json()["code"]) == (404, "unknown_task")
