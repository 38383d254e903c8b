"""The metadata service killed in the middle of bulk edits, albums and groups, on real servers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import nats as nats_client
import pytest
from imagesystem import ids
from imagesystem.bus import Bus
from imagesystem.events import Deleted
from imagesystem.health import Health
from imagesystem.metrics import Metrics
from imagesystem.platform import connect
from imagesystem.settings import ServiceSettings

from services.metadata.tests.samples import hashed, image_id, uploaded
from tests.conftest import Server, mongo_server, nats_server
from tests.integration.metadata_process import MetadataProcess, browser, metadata_process
from tests.system import PATIENCE_S

pytestmark = [pytest.mark.faults, pytest.mark.slow]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    with (
        nats_server(tmp_path_factory.mktemp("nats")) as nats,
        mongo_server(tmp_path_factory.mktemp("mongo")) as mongodb,
    ):
        yield nats, mongodb


@asynccontextmanager
async def connected(nats: Server, service: str) -> AsyncIterator[Bus]:
    settings = ServiceSettings(nats_url=f"nats://127.0.0.1:{nats.port}")
    async with connect(settings, Health(service), Metrics()) as platform:
        yield platform.bus


@pytest.fixture(scope="module")
async def registry(servers: tuple[Server, Server]) -> AsyncIterator[Bus]:
    async with connected(servers[0], "registry") as bus:
        yield bus


@pytest.fixture(scope="module")
def metadata(
    servers: tuple[Server, Server], registry: Bus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MetadataProcess]:
    del registry  # it has made the streams
    nats, mongodb = servers
    with metadata_process(
        f"nats://127.0.0.1:{nats.port}",
        tmp_path_factory.mktemp("metadata"),
        MONGODB_URL=f"mongodb://127.0.0.1:{mongodb.port}",
        MONGODB_SELECT_TIMEOUT_S="2",
    ) as process:
        yield process


@pytest.fixture(scope="module")
async def inference(
    servers: tuple[Server, Server], metadata: MetadataProcess
) -> AsyncIterator[Bus]:
    del metadata  # it has made the buckets
    async with connected(servers[0], "inference") as bus:
        yield bus


@pytest.fixture(scope="module")
async def http(metadata: MetadataProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(metadata) as client:
        yield client


async def insist(http: httpx.AsyncClient, method: str, path: str, **more: Any) -> httpx.Response:
    """Ask until there is an answer, as a client does whose service dies and comes back."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                answer = await http.request(method, path, **more)
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code not in (502, 503):
                assert answer.is_success, answer.text
                return answer
            await asyncio.sleep(0.05)


async def found(http: httpx.AsyncClient, path: str) -> dict[str, Any]:
    answer: dict[str, Any] = (await insist(http, "GET", path)).json()
    return answer


async def restarted(metadata: MetadataProcess) -> None:
    metadata.kill()
    await asyncio.to_thread(metadata.start)


async def ended(http: httpx.AsyncClient, path: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        while (task := await found(http, path))["ended_at"] is None:
            await asyncio.sleep(0.05)
    return task


async def rebuilt(http: httpx.AsyncClient) -> None:
    asked = await insist(http, "POST", "/metadata/rebuilds", json={})
    record = await ended(http, asked.headers["location"])
    assert (record["phase"], record["same"]) == ("done", True), record


async def uploads(registry: Bus, http: httpx.AsyncClient, numbers: range) -> list[str]:
    names = [image_id(number) for number in numbers]
    for begin in range(0, len(names), 50):
        some = (uploaded(name, tags=["old"]) for name in names[begin : begin + 50])
        await asyncio.gather(*map(registry.publish, some))
    async with asyncio.timeout(PATIENCE_S):
        while (await http.get(f"/metadata/images/{names[-1]}")).status_code != 200:
            await asyncio.sleep(0.05)
    return names


async def test_a_bulk_edit_is_resumed_and_says_each_fact_once(
    servers: tuple[Server, Server],
    registry: Bus,
    metadata: MetadataProcess,
    http: httpx.AsyncClient,
) -> None:
    names = await uploads(registry, http, range(1, 501))
    heard: Counter[str] = Counter()
    middle = asyncio.Event()
    client = await nats_client.connect(f"nats://127.0.0.1:{servers[0].port}")

    async def hear(message: Any) -> None:
        heard[message.subject.split(".")[2]] += 1
        if len(heard) == 150:
            metadata.kill()
            middle.set()

    try:
        await client.subscribe("images.v1.*.annotated", cb=hear)
        await client.flush()
        body = {"ids": names, "change": {"add_tags": ["new"]}}
        path = (await insist(http, "POST", "/metadata/bulk", json=body)).headers["location"]
        async with asyncio.timeout(PATIENCE_S):
            await middle.wait()
        await asyncio.to_thread(metadata.start)
        task = await ended(http, path)
        await client.flush()
    finally:
        await client.close()
    assert (task["status"], task["done"], task["failed"]) == ("done", len(names), 0), task
    assert heard == Counter(names)
    async with asyncio.timeout(PATIENCE_S):  # documents follow
        while True:
            listed = await found(http, "/metadata/images/list?limit=1000&tag=new&fields=tags")
            if listed["count"] == len(names):
                break
            await asyncio.sleep(0.05)
    assert all(item["tags"] == ["old", "new"] for item in listed["items"])


async def test_albums_have_what_many_put_into_them(
    registry: Bus, metadata: MetadataProcess, http: httpx.AsyncClient
) -> None:
    names = await uploads(registry, http, range(2001, 2041))
    made = await insist(http, "POST", "/metadata/albums", json={"title": "All"})
    path = made.headers["location"]

    async def add(begin: int) -> None:
        body = {"add": names[begin : begin + 2]}
        await insist(http, "PATCH", f"{path}/images", json=body)

    adding = [asyncio.create_task(add(begin)) for begin in range(0, len(names), 2)]
    await asyncio.wait(adding, return_when=asyncio.FIRST_COMPLETED)
    await restarted(metadata)
    await asyncio.gather(*adding)
    album = await found(http, f"{path}?limit=1000")
    assert sorted(item["id"] for item in album["items"]) == sorted(names)

    async def move(number: int) -> None:
        body = {"add": [names[number]], "before": names[0]}
        await insist(http, "PATCH", f"{path}/images", json=body)

    await asyncio.gather(*(move(number) for number in range(20, 30)))
    await insist(http, "PATCH", path, json={"cover": names[7]})
    await insist(http, "PATCH", f"{path}/images", json={"remove": names[30:]})
    album = await found(http, f"{path}?limit=1000")
    order = [item["id"] for item in album["items"]]
    assert sorted(order) == sorted(names[:30])
    assert {*order[: order.index(names[0])]} >= {*names[20:30]}
    await rebuilt(http)
    after = await found(http, f"{path}?limit=1000")
    assert [item["id"] for item in after["items"]] == order
    assert (after["cover"], after["size"]) == (names[7], 30)
    path = f"/metadata/images/list?limit=1000&album={after['id']}&fields=id"
    async with asyncio.timeout(PATIENCE_S):  # documents follow
        while sorted(item["id"] for item in (await found(http, path))["items"]) != sorted(order):
            await asyncio.sleep(0.05)


async def groups(http: httpx.AsyncClient) -> dict[str, set[str]]:
    page = await found(http, "/metadata/duplicates?limit=100")
    assert page["next"] is None
    return {
        group["id"]: {group["keeper"]["id"]}
        | {each["image"]["id"] for each in (*group["exact"], *group["near"])}
        for group in page["items"]
    }


async def test_groups_are_the_same_whoever_dies_or_is_deleted(
    registry: Bus, inference: Bus, metadata: MetadataProcess, http: httpx.AsyncClient
) -> None:
    triples = [[3001 + 3 * number + place for place in range(3)] for number in range(30)]
    chance = 0x9E3779B97F4A7C15
    for number, triple in enumerate(triples, start=1):
        phash = number * chance % 2**64  # far from each other
        for place, name in enumerate(map(image_id, triple)):
            await registry.publish(uploaded(name))
            await inference.publish(hashed(name, phash ^ (1 << place)))
        if number == 15:
            metadata.kill()
    await asyncio.to_thread(metadata.start)
    gone = [image_id(triple[0]) for triple in triples[::2]]
    for name in gone:
        fact = Deleted(image_id=name, reason="test", deleted_at=ids.now())
        said = await registry.publish(fact)
        await registry.forget(f"images.v1.{name}.>", below=said.sequence)
    left = [{image_id(each) for each in triple} - {*gone} for triple in triples]

    async def settled() -> dict[str, set[str]]:
        """Return the groups once they are what is left, and every picture knows its own."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                made = await groups(http)
                path = "/metadata/images/list?limit=1000&has_duplicates=true&fields=id,group"
                known = {i["id"]: i["group"] for i in (await found(http, path))["items"]}
                told = {name: group for group, names in made.items() for name in names}
                sorts = [sorted(map(sorted, of)) for of in (made.values(), left)]
                if sorts[0] == sorts[1] and known == told:
                    return made
                await asyncio.sleep(0.05)

    before = await settled()
    await rebuilt(http)
    assert await settled() == before
