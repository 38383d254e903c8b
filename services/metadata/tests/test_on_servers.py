"""The service on real NATS and MongoDB servers, as two replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import nats as nats_client
import pytest
from imagesystem import ids
from imagesystem.events import Deleted
from imagesystem.health import Health
from imagesystem.memory import MemoryPlatform
from imagesystem.metrics import Metrics
from imagesystem.platform import Platform
from imagesystem.platform import connect as connect_platform
from imagesystem.settings import ServiceSettings
from imagesystem.testing import client
from metadata_service.app import create_app
from metadata_service.handlers import FACTS
from metadata_service.settings import Settings
from nats.js.errors import NotFoundError

from services.metadata.tests.samples import image_id, inferred, planned, uploaded
from tests.conftest import Server, mongo_server, nats_server

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with nats_server(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(scope="module")
def mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with mongo_server(tmp_path_factory.mktemp("mongo")) as server:
        yield server


@asynccontextmanager
async def connected(url: str, service: str) -> AsyncIterator[Platform]:
    settings = ServiceSettings(nats_url=url)
    async with connect_platform(settings, Health(service), Metrics()) as platform:
        yield platform


class World:
    """Two replicas of the service, and the others who say facts."""

    def __init__(self, replicas: list[httpx.AsyncClient], others: dict[str, Platform]) -> None:
        self.replicas = replicas
        self.registry = others["registry"].bus
        self.inference = others["inference"].bus

    async def upload(self, number: int) -> str:
        name = image_id(number)
        await self.registry.forget(f"images.v1.{name}.deleted")
        await self.registry.publish(uploaded(name, minutes=number))
        return name

    async def analyse(self, name: str) -> None:
        await self.inference.publish(planned(name))
        await self.inference.publish(inferred(name))

    async def delete(self, name: str) -> None:
        said = await self.registry.publish(
            Deleted(image_id=name, reason="test", deleted_at=ids.now())
        )
        await self.registry.forget(f"images.v1.{name}.>", below=said.sequence)

    async def get(self, name: str, replica: int = 0, **params: str) -> httpx.Response:
        return await self.replicas[replica].get(f"/metadata/images/{name}", params=params or None)

    async def ready(self, name: str, replica: int = 0) -> httpx.Response:
        while True:
            answer = await self.get(name, replica, wait="ready", timeout="20")
            if answer.status_code == 200 and answer.json()["status"] != "pending":
                return answer
            assert answer.status_code in (200, 404, 410, 503), answer.text
            await asyncio.sleep(0.05)


async def until_ready(replica: httpx.AsyncClient) -> None:
    """Return when a replica knows that it has everything, which it looks into after its start."""
    async with asyncio.timeout(60):
        while (await replica.get("/metadata/health/ready")).status_code != 200:
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
async def world(nats: Server, mongodb: Server) -> AsyncIterator[World]:
    url = f"nats://127.0.0.1:{nats.port}"
    settings = Settings(nats_url=url, mongodb_url=f"mongodb://127.0.0.1:{mongodb.port}")
    async with AsyncExitStack() as stack:
        others = {"registry": await stack.enter_async_context(connected(url, "registry"))}
        replicas = [await stack.enter_async_context(client(create_app(settings))) for _ in range(2)]
        # it waits for a bucket of metadata's
        others["inference"] = await stack.enter_async_context(connected(url, "inference"))
        yield World(replicas, others)


async def test_both_replicas_know_what_either_heard(world: World):
    names = [await world.upload(number) for number in range(1, 31)]
    waiting = [asyncio.create_task(world.ready(name, n % 2)) for n, name in enumerate(names)]
    await asyncio.gather(*map(world.analyse, names))
    for answer in await asyncio.gather(*waiting):
        assert answer.json()["status"] == "ready"
    for replica in world.replicas:
        listed = (await replica.get("/metadata/images/list?limit=1000")).json()["items"]
        assert [item["id"] for item in listed] == names[::-1]
        await until_ready(replica)


async def test_an_edit_is_seen_at_once_by_whoever_asks(world: World):
    name = await world.upload(101)
    path = f"/metadata/images/{name}"
    for number in range(10):
        one, two = world.replicas[number % 2], world.replicas[1 - number % 2]
        answer = await one.patch(path, json={"tags": [f"t{number}"]})
        assert answer.status_code == 200, answer.text
        seen = await two.get(path)
        assert seen.json()["tags"] == [f"t{number}"]
        assert seen.headers["etag"] == answer.headers["etag"]


async def test_two_people_edit_at_once_and_one_must_read_again(world: World):
    name = await world.upload(102)
    path = f"/metadata/images/{name}"
    await world.analyse(name)
    tag = (await world.ready(name)).headers["etag"]
    answers = await asyncio.gather(
        *(
            replica.patch(path, json={"caption": f"mine {n}"}, headers={"if-match": tag})
            for n, replica in enumerate(world.replicas * 3)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 5
    winner = next(answer for answer in answers if answer.status_code == 200)
    assert (await world.get(name)).json()["caption"] == winner.json()["caption"]


async def test_deleted_and_uploaded_again(world: World):
    name = await world.upload(103)
    await world.analyse(name)
    await world.ready(name)
    patched = await world.replicas[0].patch(f"/metadata/images/{name}", json={"caption": "old"})
    assert patched.status_code == 200
    await world.delete(name)
    while (await world.get(name)).status_code != 410:
        await asyncio.sleep(0.01)
    gone = await world.replicas[1].patch(f"/metadata/images/{name}", json={"caption": "late"})
    assert (gone.status_code, gone.json()["code"]) == (410, "image_deleted")
    await world.upload(103)
    await world.analyse(name)
    again = (await world.ready(name, 1)).json()
    assert (again["caption"], again["status"]) == (None, "ready")


@pytest.mark.faults
async def test_mongodb_killed_while_facts_come_in(world: World, mongodb: Server):
    names = [await world.upload(number) for number in range(200, 210)]
    mongodb.kill()
    names += [await world.upload(number) for number in range(210, 230)]
    await asyncio.gather(*map(world.analyse, names))
    away = await world.get(names[0])
    assert (away.status_code, away.json()["code"]) == (503, "unavailable")
    accepted = await world.replicas[0].patch(f"/metadata/images/{names[0]}", json={"tags": ["x"]})
    assert accepted.status_code == 202, accepted.text
    ready = await world.replicas[0].get("/metadata/health/ready")
    assert ready.status_code == 503
    assert ready.json()["checks"]["mongodb"]
    await asyncio.to_thread(mongodb.start)
    for number, name in enumerate(names):
        assert (await world.ready(name, number % 2)).json()["status"] == "ready"
    while (await world.get(names[0])).json()["tags"] != ["x"]:
        await asyncio.sleep(0.05)
    listed = (await world.replicas[0].get("/metadata/images/list?limit=1000")).json()["items"]
    ours = [item["id"] for item in listed if item["id"] in names]
    assert sorted(ours) == sorted(names)


@pytest.mark.faults
async def test_everything_delivered_again_changes_nothing(world: World, nats: Server):
    names = [await world.upload(number) for number in range(300, 340)]
    await asyncio.gather(*map(world.analyse, names))
    for name in names:
        await world.ready(name)
    edited = await world.replicas[0].patch(f"/metadata/images/{names[0]}", json={"tags": ["kept"]})
    assert edited.status_code == 200, edited.text
    await world.delete(names[1])
    while (await world.get(names[1])).status_code != 410:
        await asyncio.sleep(0.01)
    before = {name: await world.get(name) for name in names}

    bare = await nats_client.connect(f"nats://127.0.0.1:{nats.port}")
    try:
        stream = bare.jetstream()
        said = (await stream.stream_info("IMAGES")).state.last_seq
        # Neither the durable nor the note of how far it had come: all there is comes once more,
        # to both replicas, while new facts come as well.
        await stream.purge_stream("KV_checkpoints")
        await stream.delete_consumer("IMAGES", FACTS)
        late = [await world.upload(number) for number in range(340, 350)]
        await asyncio.gather(*map(world.analyse, late))
        for name in late:
            assert (await world.ready(name)).json()["status"] == "ready"
        async with asyncio.timeout(60):
            while True:
                try:
                    info = await stream.consumer_info("IMAGES", FACTS)
                except NotFoundError:
                    info = None
                if info and info.ack_floor and info.ack_floor.stream_seq > said:
                    break
                await asyncio.sleep(0.05)
        assert info.delivered is not None
        assert info.delivered.consumer_seq > 3 * len(names), "everything came again"
    finally:
        await bare.close()
    for name in names:
        was, after = before[name], await world.get(name, 1)
        assert (after.status_code, after.headers.get("etag")) == (
            was.status_code,
            was.headers.get("etag"),
        )
        if was.status_code == 200:  # an error has the id of its request in it
            assert after.content == was.content


async def test_a_search_says_that_it_ranked_only_the_newest(mongodb: Server):
    settings = Settings(
        mongodb_url=f"mongodb://127.0.0.1:{mongodb.port}",
        mongodb_database="words_that_many_have",
        ranked_max=3,
    )
    platform = MemoryPlatform()
    async with client(create_app(settings, platform.connect)) as http:
        while (await http.get("/metadata/health/ready")).status_code != 200:
            await asyncio.sleep(0.05)
        for number in range(1, 6):
            filename = "dog at night.jpg" if number == 2 else "cat at night.jpg"
            await platform.bus.publish(
                uploaded(image_id(number), minutes=number, filename=filename)
            )
        await platform.bus.settle()
        asked = {"q": "cat", "total": "true", "facets": "format", "limit": 2}
        first = (await http.get("/metadata/search", params=asked)).json()
        assert (first["ranked"], first["count"], first["total"]) == (3, 2, 4)
        assert first["facets"]["counted"] == 4
        rest = (await http.get("/metadata/search", params=asked | {"cursor": first["next"]})).json()
        found = [each["id"] for each in first["items"] + rest["items"]]
        assert found == [image_id(number) for number in (5, 4, 3)]
        assert rest["next"] is None
        listed = (await http.get("/metadata/images/list", params={"q": "cat"})).json()
        assert (listed["count"], "ranked" in listed) == (4, False)
        # A word that is seldom makes up for one that is common.
        for words in ("dog", "dog night"):
            both = (await http.get("/metadata/search", params={"q": words})).json()
            assert [each["id"] for each in both["items"]] == [image_id(2)]
            assert "ranked" not in both
