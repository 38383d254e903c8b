"""Three nats-servers, each killed in turn while pictures come in: nothing accepted is lost."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import nats
import pytest
from imagesystem.events import Uploaded
from local_stack import Stack, listening, subscribers
from local_stack.homes import EmbeddedHome

from tests.faults.test_kills import upload_until_accepted
from tests.pictures import picture
from tests.system import System

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(900)]

SERVERS = ("nats-1", "nats-2", "nats-3")
UPLOADS, AT_ONCE = 500, 8
#: Ends a wait that will never succeed; nothing is asserted about how long things take.
PATIENCE_S = 240.0


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    environ = dict(os.environ)
    async with Stack(tmp_path, port=0, nats_port=0, environ=environ, scale={"nats": 3}) as stack:
        system = System(stack)
        try:
            yield system
        finally:
            await system.close()


async def listed(http: httpx.AsyncClient) -> list[str]:
    """Return the ids of all pictures that metadata knows."""
    found: list[str] = []
    cursor = None
    while True:
        query = {"limit": 1000} | ({"cursor": cursor} if cursor else {})
        page = (await http.get("/metadata/images/list", params=query)).raise_for_status().json()
        found += [item["id"] for item in page["items"]]
        if (cursor := page["next"]) is None:
            return found


async def kill_each(system: System, accepted: dict[str, bytes]) -> None:
    """Kill one server after the other, each once the one before is back and has caught up."""
    for number, server in enumerate(SERVERS):
        while len(accepted) < (2 * number + 1) * UPLOADS // (2 * len(SERVERS)):
            await asyncio.sleep(0.05)
        await system.stack.kill(server)
        await system.stack.wait_ready(server)


async def test_no_accepted_upload_is_lost(system: System, http: httpx.AsyncClient) -> None:
    accepted: dict[str, bytes] = {}
    seeds = itertools.count(500_000)
    killer = asyncio.create_task(kill_each(system, accepted))

    async def upload() -> None:
        # uploads go on until the last server is back
        while len(accepted) < UPLOADS or not killer.done():
            data = picture(next(seeds))
            accepted[await upload_until_accepted(http, data)] = data

    await asyncio.gather(killer, *(upload() for _ in range(AT_ONCE)))
    assert [system.stack.parts[server].restarts for server in SERVERS] == [1, 1, 1]
    assert len(accepted) >= UPLOADS

    async with asyncio.timeout(PATIENCE_S):
        while missing := set(accepted) - set(await listed(http)):
            print(f"{len(missing)} of {len(accepted)} are not listed yet")
            await asyncio.sleep(1)
    everything = await listed(http)
    assert len(everything) == len(set(everything)) == len(accepted)
    bus = await system.bus("registry")
    for image_id, data in accepted.items():
        fact = await bus.latest(f"images.v1.{image_id}.uploaded")
        assert fact is not None
        assert isinstance(fact.event, Uploaded)
        assert fact.event.size_bytes == len(data)
        served = await http.get(f"/image/images/{image_id}")
        assert (served.status_code, served.content) == (200, data)
    for image_id in list(accepted)[::50]:
        assert (await system.ready(http, image_id))["status"] == "ready"
    for consumer in ("inference-uploaded", "metadata-facts"):
        assert await system.dead_letters(consumer) == []


async def test_a_subscriber_is_served_by_every_server(
    system: System, http: httpx.AsyncClient
) -> None:
    image_id = await upload_until_accepted(http, picture(600_000))
    home = EmbeddedHome(system.stack.data_dir)
    made = await subscribers.create(home, "acme", facts=["images.v1.*.uploaded"])
    urls = subscribers.url(home, made).split(",")
    assert len(urls) == len(SERVERS)
    for url in urls:
        client = await nats.connect(url)
        facts = await client.jetstream().pull_subscribe_bind(made.durable, "IMAGES")
        (message,) = await facts.fetch(1, timeout=30)
        assert message.subject == f"images.v1.{image_id}.uploaded"
        await message.nak()  # for the next server
        await client.close()
    await subscribers.remove(home, "acme")


async def test_a_subscriber_hears_on_while_servers_die(
    system: System, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    home = EmbeddedHome(system.stack.data_dir)
    made = await subscribers.create(home, "acme", facts=["images.v1.*.uploaded"])
    program = tmp_path / "listen.py"
    program.write_text(listening.program(made, subscribers.url(home, made)))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(program)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        for number, server in enumerate(SERVERS):
            await system.stack.kill(server)
            image_id = await upload_until_accepted(http, picture(600_100 + number))
            async with asyncio.timeout(PATIENCE_S):
                while image_id not in (line := (await process.stdout.readline()).decode()):
                    assert line, "it ended"
            await system.stack.wait_ready(server)
    finally:
        process.kill()
        await process.wait()
