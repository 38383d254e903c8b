"""Two replicas of inference, and workers that are killed: all is done, once, by whoever is left."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import nats
import psutil
import pytest
from imagesystem import ids
from nats.aio.msg import Msg

from tests.pictures import picture
from tests.system import System, running_system

# what the killed replica had in hand comes again after half a minute
pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(600)]

UPLOADS, AT_ONCE, KILLS = 40, 8, 6


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    async with running_system(tmp_path, {}, scale={"inference": 2}) as system:
        yield system


async def kill_workers(system: System, name: str, times: int) -> None:
    """Kill workers of a replica while it works, one after the other."""
    pid = system.stack.parts[name].pid
    assert pid is not None
    killed: set[int] = set()
    async with asyncio.timeout(60):
        while len(killed) < times:
            for worker in psutil.Process(pid).children():
                if worker.pid not in killed and "--multiprocessing-fork" in worker.cmdline():
                    killed.add(worker.pid)
                    worker.send_signal(signal.SIGKILL)
            await asyncio.sleep(0.05)


async def test_forty_uploads_are_analysed_once_whoever_dies(
    system: System, http: httpx.AsyncClient
) -> None:
    said: list[str] = []

    async def hear(message: Msg) -> None:
        said.append(message.subject.split(".")[2])

    subscriber = await nats.connect(system.subscriber_url)
    await subscriber.subscribe("images.v1.*.inferred.analysis", cb=hear)
    await subscriber.flush()
    gate = asyncio.Semaphore(AT_ONCE)

    async def upload(data: bytes) -> None:
        async with gate:
            answer = await http.post("/registry/upload", files={"file": ("p.jpg", data)})
            assert answer.status_code == 201, answer.text

    pictures = [picture(70_000 + n) for n in range(UPLOADS)]
    uploads = asyncio.gather(*(upload(data) for data in pictures))
    killing = asyncio.create_task(kill_workers(system, "inference-2", KILLS))
    async with asyncio.timeout(120):
        while len(said) < UPLOADS // 4:
            await asyncio.sleep(0.02)
    await system.stack.kill("inference-1")
    await uploads
    await killing
    for data in pictures:
        assert (await system.ready(http, ids.image_id(data)))["status"] == "ready"
    await subscriber.close()
    assert sorted(said) == sorted(map(ids.image_id, pictures))
    assert await system.dead_letters("inference-uploaded") == []
    assert await system.dead_letters("inference-analysis") == []
