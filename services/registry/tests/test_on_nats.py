"""Two replicas of the registry on a real NATS server."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from imagesystem import ids
from imagesystem.errors import ImageDeleted
from imagesystem.events import Planned
from imagesystem.health import Health
from imagesystem.metrics import Metrics
from imagesystem.platform import Platform
from imagesystem.platform import connect as connect_platform
from imagesystem.testing import client
from registry_service.app import create_app
from registry_service.settings import Settings

from tests.conftest import Server, nats_server

pytestmark = pytest.mark.integration

Samples = dict[str, bytes]
Replicas = tuple[httpx.AsyncClient, httpx.AsyncClient]
MIB = 1024 * 1024
#: Ends a wait that will never succeed; nothing is asserted about how long things take.
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with nats_server(tmp_path_factory.mktemp("nats")) as server:
        yield server


def settings(server: Server, **more: object) -> Settings:
    return Settings(nats_url=f"nats://127.0.0.1:{server.port}", **more)  # type: ignore[arg-type]


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Platform]:
    async with connect_platform(settings(server), Health("registry"), Metrics()) as platform:
        yield platform


@pytest.fixture(scope="module")
async def replicas(server: Server) -> AsyncIterator[Replicas]:
    async with AsyncExitStack() as stack:
        apps = [create_app(settings(server, spool_bytes=MIB)) for _ in range(2)]
        one, two = [await stack.enter_async_context(client(app)) for app in apps]
        yield one, two


@pytest.fixture
async def platform(server: Server, replicas: Replicas) -> AsyncIterator[Platform]:
    async with connected(server) as platform:
        yield platform


def unique(samples: Samples, size: int = 1000) -> bytes:
    """A picture that nobody uploaded before: JPEG ignores what follows its end."""
    return samples["jpeg"] + os.urandom(size)


async def state(platform: Platform, image_id: str) -> set[str]:
    found = {fact.subject.split(".", 3)[3] for fact in await platform.bus.facts(image_id)}
    if await platform.bucket("originals").info(image_id) is not None:
        found.add("original")
    return found


async def until(platform: Platform, image_id: str, expected: set[str]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await state(platform, image_id) != expected:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("size", [0, 300_000, 20 * MIB])
async def test_what_was_uploaded_is_kept(
    replicas: Replicas, platform: Platform, samples: Samples, size: int
) -> None:
    data = unique(samples, size)
    answer = await replicas[0].post("/registry/upload", files={"file": ("a.jpg", data)})
    assert answer.status_code == 201, answer.text
    info, stored = await platform.bucket("originals").get(answer.json()["id"])
    assert stored == data
    assert info.metadata == {"media_type": "image/jpeg", "filename": "a.jpg"}
    again = await replicas[1].put("/registry/upload", content=data)
    assert (again.status_code, again.json()["filename"]) == (200, "a.jpg")


async def test_one_picture_at_both_replicas_at_once_is_announced_once(
    replicas: Replicas, platform: Platform, samples: Samples
) -> None:
    for _ in range(5):
        data = unique(samples, 200_000)
        answers = await asyncio.gather(
            *(http.put("/registry/upload", content=data) for http in replicas * 4)
        )
        codes = sorted(answer.status_code for answer in answers)
        assert codes == [200] * 7 + [201], [answer.text for answer in answers]
        assert len({answer.json()["uploaded_at"] for answer in answers}) == 1
        assert (await platform.bucket("originals").get(ids.image_id(data)))[1] == data


async def test_deleted_everywhere_and_alive_again(
    replicas: Replicas, platform: Platform, samples: Samples
) -> None:
    one, two = replicas
    data = unique(samples)
    image_id = (await one.put("/registry/upload?filename=a.jpg", content=data)).json()["id"]
    planned = Planned(image_id=image_id, tasks=["analysis"], planned_at=ids.now())
    await platform.bus.publish(planned)
    assert (await two.delete(f"/registry/images/{image_id}")).status_code == 202
    await until(platform, image_id, {"deleted"})
    with pytest.raises(ImageDeleted):
        await platform.bus.publish(planned)
    assert (await one.delete(f"/registry/images/{image_id}")).status_code == 202
    answer = await one.put("/registry/upload?filename=b.jpg", content=data)
    assert (answer.status_code, answer.json()["filename"]) == (201, "b.jpg")
    await platform.bus.publish(planned)
    assert await state(platform, image_id) == {"uploaded", "planned", "original"}


async def test_uploads_and_deletions_of_one_picture_end_in_one_life(
    replicas: Replicas, platform: Platform, samples: Samples
) -> None:
    """Whatever crossed, the last word holds: a fact has its bytes, a tombstone has none."""
    dice = random.Random(8)
    data = unique(samples, 50_000)
    image_id = ids.image_id(data)

    async def live() -> None:
        for _ in range(12):
            http = dice.choice(replicas)
            if dice.random() < 0.6:
                answer = await http.put("/registry/upload", content=data)
                assert answer.status_code in (200, 201, 503), answer.text
            else:
                answer = await http.delete(f"/registry/images/{image_id}")
                assert answer.status_code in (202, 404, 503), answer.text

    await asyncio.gather(*(live() for _ in range(6)))
    answer = await replicas[0].put("/registry/upload", content=data)
    assert answer.status_code in (200, 201), answer.text
    await until(platform, image_id, {"uploaded", "original"})
    assert (await platform.bucket("originals").get(image_id))[1] == data
    assert (await replicas[1].delete(f"/registry/images/{image_id}")).status_code == 202
    await until(platform, image_id, {"deleted"})


async def test_a_server_killed_in_between_loses_nothing(tmp_path: Path, samples: Samples) -> None:
    pictures = [unique(samples, 400_000) for _ in range(12)]
    with nats_server(tmp_path) as own:
        async with client(create_app(settings(own))) as http:
            uploads = [asyncio.create_task(persistent(http, data)) for data in pictures]
            await asyncio.wait(uploads, return_when="FIRST_COMPLETED")
            own.kill()
            own.start()
            await asyncio.gather(*uploads)
            async with connected(own) as platform:
                for data in pictures:
                    image_id = ids.image_id(data)
                    assert await state(platform, image_id) == {"uploaded", "original"}
                    assert (await platform.bucket("originals").get(image_id))[1] == data


async def persistent(http: httpx.AsyncClient, data: bytes) -> None:
    """Upload as a client that does what it is told: again after a 503."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            answer = await http.put("/registry/upload", content=data)
            if answer.status_code in (200, 201):
                return
            assert answer.status_code == 503, answer.text
            await asyncio.sleep(0.1)
