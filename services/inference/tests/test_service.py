"""The service on a real nats-server, with real worker processes."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import re
import signal
from collections.abc import AsyncIterator

import msgspec
import numpy as np
import pytest
from imagesystem import ids
from imagesystem.connection import NatsPlatform, open_platform
from imagesystem.events import Uploaded
from imagesystem.health import Health
from imagesystem.metrics import Metrics
from imagesystem.settings import ServiceSettings
from imagesystem.testing import client
from inference_service.app import create_app
from inference_service.settings import Settings
from litestar import Litestar
from nats.aio.msg import Msg
from PIL import Image

from tests.conftest import nats_server

pytestmark = pytest.mark.integration


def picture(seed: int) -> bytes:
    random = np.random.default_rng(seed)
    stream = io.BytesIO()
    pixels = random.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


POISON = picture(666)


@pytest.fixture(scope="module")
async def registry(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsPlatform]:
    """The registry's connection: the streams are there, originals can be written."""
    with nats_server(tmp_path_factory.mktemp("nats")) as server:
        settings = ServiceSettings(nats_url=f"nats://127.0.0.1:{server.port}")
        async with (
            open_platform(settings, Health("registry"), Metrics()) as platform,
            open_platform(settings, Health("metadata"), Metrics()),  # has what inference reads
        ):
            yield platform


@pytest.fixture(scope="module")
def settings(registry: NatsPlatform) -> Settings:
    where = registry.bus._client.connected_url
    assert where is not None
    return Settings(
        nats_url=where.geturl(),
        workers=2,
        tasks="analysis",
        poison_sha256=hashlib.sha256(POISON).hexdigest(),
    )


@pytest.fixture(scope="module")
async def app(settings: Settings) -> AsyncIterator[Litestar]:
    """The service, with two workers."""
    app = create_app(settings)
    async with client(app):
        yield app


async def upload(registry: NatsPlatform, data: bytes) -> str:
    image_id = ids.image_id(data)
    await registry.bucket("originals").put(image_id, data)
    fact = Uploaded(
        image_id=image_id,
        filename="a.png",
        media_type="image/png",
        size_bytes=len(data),
        width=80,
        height=60,
        frames=1,
        sha256=hashlib.sha256(data).hexdigest(),
        uploaded_at=ids.now(),
    )
    await registry.bus.publish(fact)
    return image_id


async def kinds_when_settled(registry: NatsPlatform, image_id: str) -> list[str]:
    """Return the kinds of the image's facts once its analysis is done or has failed."""
    async with asyncio.timeout(60):
        while True:
            kinds = [received.event.kind for received in await registry.bus.facts(image_id)]
            if {"inferred", "failed"} & set(kinds):
                return kinds
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("app")
async def test_what_is_uploaded_is_planned_and_analysed(registry: NatsPlatform) -> None:
    image_id = await upload(registry, picture(1))
    assert await kinds_when_settled(registry, image_id) == ["uploaded", "planned", "inferred"]


async def test_killed_workers_lose_nothing(registry: NatsPlatform, app: Litestar) -> None:
    images = [await upload(registry, picture(seed)) for seed in range(100, 130)]
    for pid in app.state.recognition._examination.pool.pids:
        os.kill(pid, signal.SIGKILL)
    for image_id in images:
        assert (await kinds_when_settled(registry, image_id))[-1] == "inferred"


@pytest.mark.usefixtures("app")
async def test_poison_is_parked_alone_among_good_ones(registry: NatsPlatform) -> None:
    before = [await upload(registry, picture(seed)) for seed in range(200, 210)]
    poisoned = await upload(registry, POISON)
    after = [await upload(registry, picture(seed)) for seed in range(210, 220)]
    for image_id in (*before, *after):
        assert (await kinds_when_settled(registry, image_id))[-1] == "inferred"
    assert await kinds_when_settled(registry, poisoned) == ["uploaded", "planned", "failed"]
    failed = await registry.bus.latest(f"images.v1.{poisoned}.failed.analysis")
    assert failed is not None
    assert getattr(failed.event, "code", "") == "worker_died"


@pytest.mark.usefixtures("app")
async def test_replicas_share_the_work_and_none_of_it_is_done_twice(
    registry: NatsPlatform, settings: Settings
) -> None:
    said: list[str] = []

    async def hear(message: Msg) -> None:
        said.append(message.subject.split(".")[2])

    hearing = await registry.bus._client.subscribe("images.v1.*.inferred.analysis", cb=hear)
    other = msgspec.structs.replace(settings, workers=1)
    async with client(create_app(other)) as http:
        images = [await upload(registry, picture(seed)) for seed in range(300, 340)]
        for image_id in images:
            assert (await kinds_when_settled(registry, image_id))[-1] == "inferred"
        metrics = (await http.get("/inference/metrics")).text
    await hearing.unsubscribe()
    assert sorted(said) == sorted(images)
    here = re.search(r'inference_tasks_total{outcome="done",task="analysis"} (\d+)', metrics)
    assert here is not None, "the second replica had no share"
    assert 0 < int(here[1]) < len(images)
