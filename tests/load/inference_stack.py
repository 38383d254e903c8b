"""For `inference.py`: from upload to all answers on the whole stack, and memory over time."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import nats
import psutil
from imagesystem import ids
from imagesystem.bus import api
from imagesystem.connection import NatsPlatform, open_platform
from imagesystem.health import Health
from imagesystem.metrics import Metrics
from imagesystem.settings import ServiceSettings
from imagesystem.topology import CONSUMERS
from inference_service.tasks import TASKS
from local_stack.stack import Stack
from nats.aio.msg import Msg
from rich.table import Table

from tests.conftest import free_port, nats_server
from tests.load.inference_cases import CORES, announced, photographs
from tests.load.upload import percentiles

#: Small, so that ten thousand take minutes: with a line of text that is read.
SMALL = (96, 72)
#: Seconds until the service is ready, and until a picture is, at most.
READY_S, PATIENCE_S = 120.0, 900.0


async def upload_to_done(seconds: float, step: Callable[[str], None]) -> Table:
    """Return the time from upload until every task has answered, on the whole stack."""
    table = Table(title="upload to the answers of all six tasks, 800 x 600")
    for column in ("at once", "pictures", "p50 ms", "p99 ms", "pictures/s"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "LOG_LEVEL": "error"}
        async with (
            Stack(data_dir=Path(folder), port=0, nats_port=0, environ=environ) as stack,
            httpx.AsyncClient(base_url=stack.url, timeout=120) as http,
        ):
            for at_once in (1, 8):
                took, each = await _uploads(stack, http, at_once, seconds)
                rate = f"{len(each) / took:.1f}"
                row = (str(at_once), str(len(each)), *percentiles(each), rate)
                table.add_row(*row)
                step(" ".join(row))
    return table


async def _uploads(
    stack: Stack, http: httpx.AsyncClient, at_once: int, seconds: float
) -> tuple[float, list[float]]:
    subscriber = await nats.connect(stack.subscriber_url)
    missing: dict[str, set[str]] = {}
    done: dict[str, asyncio.Event] = {}

    async def hear(message: Msg) -> None:
        _, _, image_id, _, task = message.subject.split(".")
        if image_id in missing:
            missing[image_id].discard(task)
            if not missing[image_id]:
                done[image_id].set()

    await subscriber.subscribe("images.v1.*.inferred.*", cb=hear)
    await subscriber.flush()

    async def ready(data: bytes) -> float:
        started = time.perf_counter()
        image_id = ids.image_id(data)
        missing[image_id], done[image_id] = set(TASKS), asyncio.Event()
        answer = await http.post("/registry/upload", files={"file": ("p.jpg", data)})
        assert answer.status_code == 201, answer.text
        async with asyncio.timeout(PATIENCE_S):
            await done[image_id].wait()
        return time.perf_counter() - started

    each: list[float] = []
    pictures = photographs(100)
    began = time.perf_counter()

    async def sender(number: int) -> None:
        while time.perf_counter() < began + seconds or len(each) < 2 * at_once:
            count = len(missing)
            data = pictures[count % len(pictures)] + bytes([at_once]) + count.to_bytes(4)
            each.append(await ready(data))

    await asyncio.gather(*(sender(number) for number in range(at_once)))
    took = time.perf_counter() - began
    await subscriber.close()
    return took, each


class Alone:
    """The service in a process of its own on a nats-server, and nobody else."""

    def __init__(self, platform: NatsPlatform, process: psutil.Process) -> None:
        self._platform = platform
        self._process = process

    async def look(self, pictures: list[bytes]) -> None:
        """Store and announce pictures; return when all of them were looked at."""
        originals, bus = self._platform.bucket("originals"), self._platform.bus
        events = [announced(data) for data in pictures]
        for event, data in zip(events, pictures, strict=True):
            await originals.put(event.image_id, data)
        await asyncio.gather(*(bus.publish(event) for event in events))
        while await self._left():
            await asyncio.sleep(0.1)
        for event in events:
            found = await bus.facts(event.image_id)
            assert any(fact.event.kind == "inferred" for fact in found), found
        await bus.forget("images.v1.>")
        for event in events:
            if (info := await originals.info(event.image_id)) is not None:
                await originals.delete(info)

    async def _left(self) -> int:
        client, left = self._platform.bus._client, 0
        for name, consumer in CONSUMERS.items():
            if consumer.service == "inference":
                where = f"CONSUMER.INFO.{consumer.stream}.{name}"
                info = await api.api_call(client, where)
                left += int(info["num_pending"]) + int(info["num_ack_pending"])
        return left

    def memory(self) -> tuple[float, float]:
        """Return the resident memory of the service's process, and of its workers, in MB."""
        workers = [child.memory_info().rss for child in self._process.children(recursive=True)]
        return self._process.memory_info().rss / 1e6, sum(workers) / 1e6


@asynccontextmanager
async def alone() -> AsyncIterator[Alone]:
    """Run the service with all its tasks on a nats-server."""
    with tempfile.TemporaryDirectory() as folder, nats_server(Path(folder)) as server:
        settings = ServiceSettings(nats_url=f"nats://127.0.0.1:{server.port}")
        port = free_port()
        environ = os.environ | {
            "NATS_URL": settings.nats_url,
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": str(port),
            "WORKERS": str(CORES),
            "NICENESS": "0",
            "DEADLINE_S": "110",
            "LOG_LEVEL": "error",
        }
        async with (
            open_platform(settings, Health("registry"), Metrics()) as platform,
            open_platform(settings, Health("metadata"), Metrics()),  # has what inference reads
        ):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "inference_service", env=environ
            )
            try:
                await _ready(f"http://127.0.0.1:{port}/inference/health/ready")
                yield Alone(platform, psutil.Process(process.pid))
            finally:
                process.terminate()
                await process.wait()


async def _ready(url: str) -> None:
    async with asyncio.timeout(READY_S), httpx.AsyncClient() as http:
        while True:
            try:
                if (await http.get(url)).status_code == 200:
                    return
            except httpx.HTTPError:
                pass  # it does not listen yet
            await asyncio.sleep(0.1)


async def memory_over(count: int, step: Callable[[str], None]) -> Table:
    """Return the memory of the service and its workers, ten times while it looks at `count`."""
    table = Table(title=f"memory over {count} pictures of {SMALL[0]} x {SMALL[1]}, all six tasks")
    for column in ("pictures", "minutes", "service MB", "workers MB", "of the first"):
        table.add_column(column, justify="right")
    tenth, base = max(1, count // 10), photographs(50, SMALL)
    async with alone() as running:
        began, first = time.perf_counter(), 0.0
        for number in range(1, 11):
            for start in range(0, tenth, 100):
                seen, some = (number - 1) * tenth + start, min(100, tenth - start)
                turn = [base[n % 50] + (seen + n).to_bytes(4) for n in range(some)]
                await running.look(turn)
            own, workers = running.memory()
            first = first or own + workers
            row = (
                str(number * tenth),
                f"{(time.perf_counter() - began) / 60:.1f}",
                f"{own:.1f}",
                f"{workers:.1f}",
                f"{(own + workers) / first:.3f}",
            )
            table.add_row(*row)
            step(" ".join(row))
    return table
