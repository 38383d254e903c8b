"""Rebuilds on real servers, with two replicas that are asked and told things meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import httpx
import pytest
from imagesystem.bus import Bus
from imagesystem.testing import client
from metadata_service.app import create_app
from metadata_service.settings import Settings

from services.metadata.tests.samples import annotated, image_id, inferred, planned, uploaded
from services.metadata.tests.test_on_servers import connected
from tests.conftest import Server, mongo_server, nats_server

pytestmark = pytest.mark.integration

IMAGES = 250


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    with (
        nats_server(tmp_path_factory.mktemp("nats")) as nats,
        mongo_server(tmp_path_factory.mktemp("mongo")) as mongodb,
    ):
        yield nats, mongodb


@pytest.fixture(scope="module")
async def buses(servers: tuple[Server, Server]) -> AsyncIterator[dict[str, Bus]]:
    url = f"nats://127.0.0.1:{servers[0].port}"
    async with AsyncExitStack() as stack:
        yield {
            name: (await stack.enter_async_context(connected(url, name))).bus
            for name in ("registry", "metadata", "inference")
        }


@pytest.fixture(scope="module")
async def replicas(
    servers: tuple[Server, Server], buses: dict[str, Bus]
) -> AsyncIterator[list[httpx.AsyncClient]]:
    nats, mongodb = servers
    settings = Settings(
        nats_url=f"nats://127.0.0.1:{nats.port}", mongodb_url=f"mongodb://127.0.0.1:{mongodb.port}"
    )
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(client(create_app(settings))) for _ in range(2)]


async def say(buses: dict[str, Bus], number: int) -> None:
    name = image_id(number)
    await buses["registry"].publish(uploaded(name, minutes=number))
    await buses["inference"].publish(planned(name))
    await buses["inference"].publish(inferred(name))


async def listed(http: httpx.AsyncClient) -> list[str]:
    answer = await http.get("/metadata/images/list?limit=1000&status=ready")
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def ended(http: httpx.AsyncClient, path: str) -> dict[str, object]:
    async with asyncio.timeout(120):
        while True:
            found: dict[str, object] = (await http.get(path)).json()
            if found.get("ended_at") is not None:
                return found
            await asyncio.sleep(0.05)


async def test_nobody_notices(replicas: list[httpx.AsyncClient], buses: dict[str, Bus]):
    await asyncio.gather(*(say(buses, number) for number in range(1, IMAGES + 1)))
    async with asyncio.timeout(120):
        while any([len(await listed(http)) < IMAGES for http in replicas]):
            await asyncio.sleep(0.1)
    over = asyncio.Event()
    said = IMAGES

    async def talk() -> None:
        nonlocal said
        while not over.is_set():
            await say(buses, said + 1)
            said += 1
            await buses["metadata"].publish(annotated(image_id(said // 2), tags=(f"t{said}",)))

    async def read(http: httpx.AsyncClient) -> int:
        """Ask as fast as it goes; whatever is there once stays there."""
        reads, known = 0, set(await listed(http))
        while not over.is_set():
            now = set(await listed(http))
            assert len(now) >= IMAGES
            assert {image_id(n) for n in range(1, IMAGES + 1)} <= now
            known |= now
            one = await http.get(f"/metadata/images/{image_id(1 + reads % IMAGES)}")
            assert one.status_code == 200, one.text
            reads += 1
        return reads

    readers = [asyncio.create_task(read(http)) for http in replicas]
    talker = asyncio.create_task(talk())
    for number in range(3):
        http = replicas[number % 2]
        asked = await http.post("/metadata/rebuilds", json={})
        found = await ended(http, asked.headers["location"])
        assert found["phase"] == "done", found
        assert not any(task.done() for task in (*readers, talker))
    over.set()
    await talker
    assert all(reads > 0 for reads in await asyncio.gather(*readers))
    async with asyncio.timeout(120):
        while any([len(await listed(http)) < min(said, 1000) for http in replicas]):
            await asyncio.sleep(0.1)
    asked = await replicas[0].post("/metadata/rebuilds", json={})
    proof = await ended(replicas[1], asked.headers["location"])
    assert proof["same"] is True, proof
    assert proof["after"]["documents"] == said  # type: ignore[index]
