"""Containers replaced and killed while pictures come in: nothing accepted is lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from imagesystem import ids

from tests.containers.engine import PATIENCE_S, ComposeProject, container_of
from tests.faults.test_kills import upload_until_accepted
from tests.pictures import picture
from tests.system import System

pytestmark = [pytest.mark.containers, pytest.mark.slow, pytest.mark.timeout(900)]

PARTS = (
    "registry", "image", "inference", "metadata", "augmentation", "nats", "mongodb", "traefik"
)  # fmt: skip
AT_ONCE, BEFORE, AFTER = 4, 15, 30


class Load:
    """Clients that upload one new picture after the other, until they are told to stop."""

    def __init__(self, http: httpx.AsyncClient, first_seed: int) -> None:
        self.http, self.seed = http, first_seed
        self.accepted: dict[str, bytes] = {}
        self.stopping = False

    async def client(self) -> None:
        while not self.stopping:
            self.seed += 1
            data = picture(self.seed)
            self.accepted[await upload_until_accepted(self.http, data)] = data

    async def more(self, count: int) -> None:
        """Wait until so many more were accepted."""
        enough = len(self.accepted) + count
        async with asyncio.timeout(PATIENCE_S):
            while len(self.accepted) < enough:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def load_on(http: httpx.AsyncClient, first_seed: int) -> AsyncIterator[Load]:
    load = Load(http, first_seed)
    async with asyncio.TaskGroup() as clients:
        for _ in range(AT_ONCE):
            clients.create_task(load.client())
        try:
            yield load
        finally:
            load.stopping = True


async def assert_all_kept(system: System, http: httpx.AsyncClient, kept: dict[str, bytes]) -> None:
    for image_id, data in kept.items():
        document = await system.ready(http, image_id)
        assert document["status"] == "ready", document
        assert ids.image_id(data) == image_id
        assert (await http.get(f"/image/images/{image_id}")).content == data
    listed: list[str] = []
    cursor = ""
    while True:
        page = (await http.get(f"/metadata/images/list?limit=1000{cursor}")).json()
        listed += [item["id"] for item in page["items"] if item["id"] in kept]
        if not page["next"]:
            break
        cursor = f"&cursor={page['next']}"
    assert sorted(listed) == sorted(kept), "each is listed once"
    for consumer in ("inference-uploaded", "metadata-facts"):
        letters = await system.dead_letters(consumer)
        assert [letter for letter in letters if letter.image_id in kept] == []


async def test_one_service_is_rebuilt_while_the_others_go_on(
    project: ComposeProject, system: System, http: httpx.AsyncClient
) -> None:
    before = await asyncio.to_thread(project.ids)
    image = (await asyncio.to_thread(project.inspect, "metadata-service"))["Image"]
    source = project.folder / "services" / "metadata" / "metadata_service" / "__init__.py"
    with source.open("a") as code:
        code.write('\nREBUILT = "yes"\n')
    async with load_on(http, 200_000) as load:
        await load.more(BEFORE)
        await asyncio.to_thread(project.up, "metadata-service")
        await load.more(AFTER)
    after = await asyncio.to_thread(project.ids)
    assert {name for name in before if after[name] != before[name]} == {"metadata-service"}
    assert (await asyncio.to_thread(project.inspect, "metadata-service"))["Image"] != image
    asked = ("python", "-c", "import metadata_service; print(metadata_service.REBUILT)")
    assert (await asyncio.to_thread(project.execute, "metadata-service", *asked)).strip() == "yes"
    await system.back(http, "metadata")
    await assert_all_kept(system, http, load.accepted)


@pytest.mark.parametrize("part", PARTS)
async def test_a_container_whose_process_dies_is_restarted(
    part: str, project: ComposeProject, system: System, http: httpx.AsyncClient
) -> None:
    before = await asyncio.to_thread(project.inspect, container_of(part))
    async with load_on(http, 300_000 + 10_000 * PARTS.index(part)) as load:
        await load.more(BEFORE)
        await project.kill(part)
        await load.more(AFTER)
    await system.back(http, part)
    after = await asyncio.to_thread(project.inspect, container_of(part))
    assert after["Id"] == before["Id"]
    assert after["RestartCount"] == before["RestartCount"] + 1
    await assert_all_kept(system, http, load.accepted)
