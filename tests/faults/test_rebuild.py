"""Rebuilds under load, killed in the middle, and a database that is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from imagesystem.bus import Bus
from local_stack import mongodb
from pymongo import AsyncMongoClient

from services.metadata.tests.samples import image_id, inferred, planned, uploaded
from tests.system import PATIENCE_S, System

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(600)]

IMAGES = 1500


class Speaker:
    """Says facts about images, as the registry and inference do, for as long as it is let."""

    def __init__(self, registry: Bus, inference: Bus) -> None:
        self._registry, self._inference = registry, inference
        self.said: list[str] = []
        self._talking: asyncio.Task[None] | None = None
        self._enough = asyncio.Event()

    async def say(self, count: int) -> None:
        """Say all facts about so many images."""
        for begin in range(0, count, 50):
            await asyncio.gather(*(self._one() for _ in range(min(50, count - begin))))

    async def _one(self) -> None:
        name = image_id(len(self.said) + 1)
        self.said.append(name)
        await self._registry.publish(uploaded(name, minutes=len(self.said)))
        await self._inference.publish(planned(name))
        await self._inference.publish(inferred(name))

    def go_on(self) -> None:
        """Say one image after the other, until told that it is enough."""
        self._talking = asyncio.create_task(self._talk())

    async def _talk(self) -> None:
        while not self._enough.is_set():
            await self._one()

    async def enough(self) -> None:
        """Return when all is said about the last image."""
        assert self._talking is not None
        self._enough.set()
        await self._talking


@pytest.fixture
async def speaker(system: System) -> Speaker:
    # Nobody analyses what has no bytes: only metadata is to be busy.
    await system.stack.hold("inference")
    return Speaker(await system.bus("registry"), await system.bus("inference"))


def mongodb_url(system: System) -> str:
    plan = system.stack.plan
    return mongodb.url_for(plan.ports["mongodb"], "metadata", plan.credentials.mongodb["metadata"])


async def listed(http: httpx.AsyncClient) -> set[str]:
    """Return the ids of all pictures that are ready, page by page."""
    found: set[str] = set()
    cursor = ""
    while True:
        page = (await http.get(f"/metadata/images/list?limit=1000&status=ready{cursor}")).json()
        found |= {item["id"] for item in page["items"]}
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


async def until_listed(http: httpx.AsyncClient, names: set[str]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await listed(http) != names:
            await asyncio.sleep(0.2)


async def ended(http: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """Return the rebuild once it has ended, whoever dies meanwhile."""
    async with asyncio.timeout(2 * PATIENCE_S):
        while True:
            answer = await http.get(path)
            if answer.status_code == 200 and answer.json()["ended_at"] is not None:
                found: dict[str, Any] = answer.json()
                return found
            await asyncio.sleep(0.1)


async def test_killed_in_the_middle_while_facts_come(
    system: System, http: httpx.AsyncClient, speaker: Speaker
) -> None:
    await speaker.say(IMAGES)
    await until_listed(http, set(speaker.said))
    speaker.go_on()
    asked = await http.post("/metadata/rebuilds", json={})
    assert asked.status_code == 202, asked.text
    path = asked.headers["location"]
    await asyncio.sleep(0.3)
    await system.stack.kill("metadata")
    await system.back(http, "metadata")
    rebuilt = await ended(http, path)
    await speaker.enough()
    assert rebuilt["phase"] == "done", rebuilt
    await until_listed(http, set(speaker.said))
    again = await http.post("/metadata/rebuilds", json={})
    proof = await ended(http, again.headers["location"])
    assert proof["same"] is True, proof
    assert proof["after"]["documents"] == len(speaker.said)
    assert await system.dead_letters("metadata-facts") == []


async def test_a_collection_that_is_lost_comes_back_by_itself(
    system: System, http: httpx.AsyncClient, speaker: Speaker
) -> None:
    await speaker.say(300)
    await until_listed(http, set(speaker.said))
    speaker.go_on()
    client: AsyncMongoClient[Any] = AsyncMongoClient(mongodb_url(system))
    await client[mongodb.DATABASE]["images"].drop()
    await client.close()
    async with asyncio.timeout(PATIENCE_S):
        while True:
            items = (await http.get("/metadata/rebuilds")).json()["items"]
            if items and items[0]["phase"] == "done":
                break
            await asyncio.sleep(0.1)
    await speaker.enough()
    assert items[0]["reason"] == "documents_lost"
    await until_listed(http, set(speaker.said))
    await system.stack.wait_ready("metadata")
