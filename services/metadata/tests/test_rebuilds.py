"""Rebuilds on the in-memory twins: what is found, what is replaced, what survives a death."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from imagesystem.bus.memory import MemoryBus
from metadata_service.memory import MemoryStore
from metadata_service.rebuilds.rebuilder import Rebuilder

from services.metadata.tests.conftest import Stage
from services.metadata.tests.samples import (
    annotated,
    augmented,
    deleted,
    failed,
    image_id,
    inferred,
    planned,
    uploaded,
)

PATH = "/metadata/rebuilds"


async def rebuilt(stage: Stage, **body: Any) -> dict[str, Any]:
    """Ask for a rebuild and return it when it has ended."""
    asked = await stage.http.post(PATH, json=body)
    assert asked.status_code in (200, 202), asked.text
    assert asked.headers["location"] == f"{PATH}/{asked.json()['id']}"
    async with asyncio.timeout(30):
        while True:
            found: dict[str, Any] = (await stage.http.get(asked.headers["location"])).json()
            if found["ended_at"] is not None:
                return found
            await asyncio.sleep(0.01)


async def life(stage: Stage, number: int) -> str:
    name = image_id(number)
    await stage.say(uploaded(name, minutes=number), planned(name), inferred(name), annotated(name))
    return name


async def listed(stage: Stage) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await stage.get("list")).json()["items"]
    return items


async def test_a_rebuild_makes_the_same_documents(stage: Stage):
    names = [await life(stage, number) for number in range(1, 9)]
    await stage.say(augmented(names[0]), failed(names[1], stage="text"), deleted(names[2]))
    before = await listed(stage)
    documents = dict(stage.store.documents)
    found = await rebuilt(stage)
    assert (found["phase"], found["same"], found["differences"]) == ("done", True, [])
    assert found["before"] == found["after"]
    assert found["before"]["documents"] == 8
    assert (found["facts"], found["pending"], found["unread"]) == (35, 0, 0)
    assert await listed(stage) == before
    assert stage.store.documents.keys() == documents.keys()
    assert stage.store.documents is not documents
    assert (await stage.get(names[2])).status_code == 410


async def test_what_mongodb_had_wrong_is_mended_and_told(stage: Stage):
    names = [await life(stage, number) for number in range(1, 6)]
    del stage.store.documents[names[0]]
    wrong = stage.store.documents[names[1]]
    stage.store.documents[names[1]] = msgspec.structs.replace(wrong, tags=["wrong"])
    found = await rebuilt(stage)
    assert found["phase"] == "done"
    assert found["same"] is False
    assert found["differences"] == [
        {"image_id": names[0], "kind": "only_after"},
        {"image_id": names[1], "kind": "state"},
    ]
    assert found["differing"] == 2
    assert (await stage.get(names[0])).status_code == 200
    assert (await stage.get(names[1])).json()["tags"] == ["cat"]


async def test_what_the_log_does_not_know_is_not_thrown_away_unasked(stage: Stage):
    names = [await life(stage, number) for number in range(1, 4)]
    for subject in [subject for subject in stage.bus.log if names[0] in subject]:
        del stage.bus.log[subject]
    found = await rebuilt(stage)
    assert found["phase"] == "refused"
    assert "1 images" in found["error"]
    assert found["differences"] == [{"image_id": names[0], "kind": "only_before"}]
    assert (await stage.get(names[0])).status_code == 200
    found = await rebuilt(stage, accept_loss=True)
    assert found["phase"] == "done"
    assert (await stage.get(names[0])).status_code == 404


async def test_lost_documents_come_back_by_themselves(stage: Stage):
    names = [await life(stage, number) for number in range(1, 6)]
    before = await listed(stage)
    stage.store.editions.lose()
    async with asyncio.timeout(30):
        while (await listed(stage)) != before:
            await asyncio.sleep(0.01)
        while (await stage.http.get("/metadata/health/ready")).status_code != 200:
            await asyncio.sleep(0.01)
    (found,) = (await stage.http.get(PATH)).json()["items"]
    assert (found["reason"], found["phase"]) == ("documents_lost", "done")
    assert (found["before"]["documents"], found["after"]["documents"]) == (0, len(names))


async def test_a_new_system_has_lost_nothing():
    """Not even when the first facts are said before the database is there."""
    store, bus, missing = MemoryStore(), MemoryBus(), ["mongodb is being prepared"]

    async def prepared() -> str | None:
        return missing[0] if missing else None

    async with Rebuilder(store, bus, prepared, look_every_s=0.01).running() as rebuilder:
        await bus.publish(uploaded(image_id(1)))
        missing.clear()
        async with asyncio.timeout(30):
            while rebuilder.check() is not None:
                await asyncio.sleep(0.01)
        assert await rebuilder.latest() == []
        store.editions.lose()  # later it is a loss, as ever
        async with asyncio.timeout(30):
            while not await rebuilder.latest():
                await asyncio.sleep(0.01)


async def test_a_tombstone_and_a_failure_that_the_log_has_forgotten_are_no_difference(
    stage: Stage,
):
    name = await life(stage, 1)
    await stage.say(deleted(name))
    await stage.bus.forget(f"images.v1.{name}.>")
    await life(stage, 1)
    await stage.say(failed(name, stage="text"), failed(name, stage="text", resolved=True))
    found = await rebuilt(stage)
    assert (found["same"], found["differing"]) == (True, 0)


async def test_only_one_at_a_time(stage: Stage):
    await life(stage, 1)
    first = await stage.http.post(PATH, json={})
    second = await stage.http.post(PATH, json={"accept_loss": True})
    assert (first.status_code, second.status_code) == (202, 200)
    assert second.json()["id"] == first.json()["id"]


@pytest.mark.parametrize(
    ("body", "named"), [({"accept_loss": "maybe"}, "accept_loss"), ({"force": True}, "force")]
)
async def test_a_request_that_is_not_understood(stage: Stage, body: dict[str, Any], named: str):
    answer = await stage.http.post(PATH, json=body)
    assert answer.status_code == 400
    assert named in answer.text


async def test_an_unknown_rebuild(stage: Stage):
    answer = await stage.http.get(f"{PATH}/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_rebuild")
