"""For `inference.py`: pictures, and the service on a bus in memory."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from imagesystem import ids
from imagesystem.events import Inferred, Uploaded
from imagesystem.memory import MemoryPlatform
from imagesystem.server import spare_garbage
from imagesystem.testing import client
from imagesystem.workers import usable_cores
from inference_service.app import create_app
from inference_service.settings import Settings
from litestar import Litestar
from PIL import Image, ImageDraw

from tests.pictures import SAMPLES

CORES = usable_cores()


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What some pictures took: seconds from the first to the last, and seconds of CPU."""

    pictures: int
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return self.pictures / self.seconds

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds a picture."""
        return self.cpu_s * 1000 / self.pictures


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time that processes have taken, to the microsecond."""
    tasks = [path for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(path.read_text().split()[0]) for path in tasks) / 1e9


def photographs(count: int, size: tuple[int, int] = (800, 600)) -> list[bytes]:
    """Return JPEGs of the samples with a line of text, each with its own bytes."""
    names = sorted(path.name for path in SAMPLES.glob("*.*") if path.suffix in {".png", ".jpg"})
    made = []
    for number in range(count):
        with Image.open(SAMPLES / names[number % len(names)]) as image:
            picture = image.convert("RGB").resize(size)
        words = ImageDraw.Draw(picture)
        words.text((20, 20), f"photograph number {number}", fill="white", font_size=size[1] // 20)
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=88)
        made.append(stream.getvalue())
    return made


def announced(data: bytes) -> Uploaded:
    """Return the fact that a picture was uploaded."""
    return Uploaded(
        image_id=ids.image_id(data),
        filename="bench.jpg",
        media_type="image/jpeg",
        size_bytes=len(data),
        width=800,
        height=600,
        frames=1,
        sha256=hashlib.sha256(data).hexdigest(),
        uploaded_at=ids.now(),
    )


class Service:
    """The service on a bus in memory, in this process; its workers are processes of their own."""

    def __init__(self, memory: MemoryPlatform, app: Litestar, http: httpx.AsyncClient) -> None:
        self.memory = memory
        self.http = http
        self._app = app

    @property
    def _pids(self) -> list[int]:
        pool = self._app.state.recognition._examination.pool
        runner = self._app.state.runner.pid
        return [os.getpid(), *pool.pids, *([runner] if runner else [])]

    async def look(self, pictures: list[bytes]) -> Spent:
        """Announce pictures; return what it took from the first upload to the last answer."""
        events = [announced(data) for data in pictures]
        originals = self.memory.bucket("originals")
        for event, data in zip(events, pictures, strict=True):
            await originals.put(event.image_id, data)
        cpu, started = cpu_seconds(self._pids), time.perf_counter()
        for event in events:
            await self.memory.bus.publish(event)
        await self.memory.bus.settle()
        took = time.perf_counter() - started
        spent = Spent(pictures=len(pictures), seconds=took, cpu_s=cpu_seconds(self._pids) - cpu)
        for event in events:
            facts = await self.memory.bus.facts(event.image_id)
            assert any(isinstance(fact.event, Inferred) for fact in facts)
            info = await originals.info(event.image_id)
            assert info is not None
            await originals.delete(info)
            # the bus in memory looks through all that it has
            await self.memory.bus.forget(f"images.v1.{event.image_id}.>")
        return spent


@asynccontextmanager
async def service(tasks: tuple[str, ...], **settings: Any) -> AsyncIterator[Service]:
    """Run the service for some tasks."""
    memory = MemoryPlatform()
    given: dict[str, Any] = {"workers": CORES, "tasks": ",".join(tasks), "log_level": "error"}
    # neither side yields to what else runs here, and nothing is given up on a busy machine
    given |= {"niceness": 0, "deadline_s": 110} | settings
    app = create_app(Settings(**given), memory.connect)
    async with client(app) as http:
        running = Service(memory, app, http)
        await running.look(photographs(2 * CORES, (640, 480)))
        spare_garbage()  # as every service does
        yield running
