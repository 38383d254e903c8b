"""The service on a real NATS server: facts, objects, the cache and its purge."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from image_service.app import create_app
from image_service.settings import Settings
from imagesystem import connection, ids
from imagesystem.events import Deleted, Uploaded
from imagesystem.health import Health
from imagesystem.metrics import Metrics
from imagesystem.platform import Platform
from imagesystem.platform import connect as connect_platform
from imagesystem.testing import client
from litestar import Litestar
from PIL import Image

from tests.conftest import nats_server

pytestmark = pytest.mark.integration


class Registry:
    """Stores, announces and deletes, as the registry does."""

    def __init__(self, platform: Platform, fact: Callable[..., Uploaded]) -> None:
        self.platform = platform
        self.fact = fact

    async def upload(self, data: bytes) -> str:
        fact = self.fact(data)
        await self.platform.bus.forget(f"images.v1.{fact.image_id}.deleted")
        await self.platform.bucket("originals").put(fact.image_id, data)
        await self.platform.bus.publish(fact)
        return f"/image/images/{fact.image_id}"

    async def delete(self, url: str) -> None:
        image_id = url.rpartition("/")[2]
        said = await self.platform.bus.publish(
            Deleted(image_id=image_id, reason="test", deleted_at=ids.now())
        )
        await self.platform.bus.forget(f"images.v1.{image_id}.>", below=said.sequence)
        bucket = self.platform.bucket("originals")
        info = await bucket.info(image_id)
        assert info is not None
        await bucket.delete(info)


@asynccontextmanager
async def _connected(url: str, service: str) -> AsyncIterator[Platform]:
    settings = Settings(nats_url=url)
    async with connect_platform(settings, Health(service), Metrics()) as platform:
        yield platform


@pytest.fixture(scope="module")
def nats_url(tmp_path_factory):
    with nats_server(tmp_path_factory.mktemp("nats")) as server:
        yield f"nats://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
async def registry(nats_url, fact):
    async with _connected(nats_url, "registry") as platform:
        yield Registry(platform, fact)


@pytest.fixture(scope="module")
def apps(nats_url, registry) -> tuple[Litestar, Litestar]:
    """Two processes' worth of the service, which share the durable and the cache."""
    settings = Settings(nats_url=nats_url, workers=1)
    return create_app(settings), create_app(settings)


@pytest.fixture(scope="module")
async def replicas(apps) -> AsyncIterator[tuple[httpx.AsyncClient, ...]]:
    async with client(apps[0]) as one, client(apps[1]) as two:
        yield one, two


async def shared(apps: tuple[Litestar, Litestar], name: str) -> None:
    """Wait until both know that a rendition is in the bucket."""
    caches = [app.state.gallery.darkroom.cache for app in apps]
    while not all(cache.holds(*name.split("/")) for cache in caches):
        await asyncio.sleep(0.01)


def picture(width: int, height: int = 300) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


async def renditions(nats_url: str) -> set[str]:
    async with _connected(nats_url, "image") as platform:
        watched = platform.bucket("renditions").watch(follow=False)
        return {info.name async for info in watched if info is not None}


async def test_an_original_and_its_ranges(replicas, registry):
    data = os.urandom(1_000_000)
    url = await registry.upload(data)
    for http in replicas:
        whole = await http.get(url)
        assert (whole.status_code, whole.content) == (200, data)
        for start, stop in ((0, 1), (131_000, 400_000), (999_999, 1_000_000)):
            part = await http.get(url, headers={"range": f"bytes={start}-{stop - 1}"})
            assert (part.status_code, part.content) == (206, data[start:stop])
        etag = {"if-none-match": whole.headers["etag"]}
        assert (await http.get(url, headers=etag)).status_code == 304


async def test_what_is_asked_for_twice_is_made_by_one_and_served_by_both(
    replicas, registry, apps, nats_url
):
    url = f"{await registry.upload(picture(400))}?width=100&format=webp"
    one, two = replicas
    first, again = await one.get(url), await one.get(url)
    assert first.headers["cache-status"] == "renditions; fwd=miss"
    assert again.headers["cache-status"] == "renditions; hit; detail=memory"
    name = f"{url[14:50]}/{first.headers['etag'][1:-1]}"
    await shared(apps, name)
    assert name in await renditions(nats_url)
    second = await two.get(url)
    assert second.headers["cache-status"] == "renditions; hit; detail=bucket"
    assert second.content == first.content


async def test_deleted_is_deleted_in_both_and_in_the_cache(replicas, registry, nats_url):
    url = await registry.upload(picture(402))
    image_id = url.rpartition("/")[2]

    async def cached() -> int:
        return sum(name.startswith(image_id) for name in await renditions(nats_url))

    for number, http in enumerate(replicas):
        for _ in range(3):
            assert (await http.get(f"{url}?width={100 + number}")).status_code == 200
    while await cached() < 2:
        await asyncio.sleep(0.01)
    await registry.delete(url)
    for http in replicas:
        for query in ("", "?width=100", "?width=101"):
            # each hears of it by itself, in a moment
            while (gone := await http.get(url + query)).status_code == 200:
                await asyncio.sleep(0.01)
            assert (gone.status_code, gone.json()["code"]) == (410, "image_deleted")
    while await cached():
        await asyncio.sleep(0.01)
    # the same bytes again live again
    assert await registry.upload(picture(402)) == url
    for http in replicas:
        assert (await http.get(f"{url}?width=100")).status_code == 200


async def test_a_damaged_cache_is_a_miss(replicas, registry, apps, nats_url):
    url = f"{await registry.upload(picture(404))}?width=100"
    first, _ = await replicas[0].get(url), await replicas[0].get(url)
    name = f"{url[14:50]}/{first.headers['etag'][1:-1]}"
    await shared(apps, name)
    nats = await connection.connect(nats_url, "image")
    try:
        async with _connected(nats_url, "image") as platform:
            info = await platform.bucket("renditions").info(name)
        assert info is not None
        await nats.jetstream().purge_stream(
            "OBJ_renditions", subject=f"$O.renditions.C.{info.nuid}"
        )
    finally:
        await nats.close()
    again = await replicas[1].get(url)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["cache-status"] == "renditions; fwd=miss"


async def test_an_unknown_image(replicas):
    for http in replicas:
        unknown = await http.get(f"/image/images/{ids.image_id(b'unknown')}")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_image")
        assert (await http.get("/image/health/ready")).status_code == 200


async def test_a_rendition_ends_with_the_watermark_in_it(replicas, registry, apps, nats_url):
    mark = await registry.upload(picture(60, 40))
    url = f"{await registry.upload(picture(406))}?width=100&watermark={mark[14:]}"
    first, _ = await replicas[0].get(url), await replicas[0].get(url)
    name = f"{url[14:50]}/{first.headers['etag'][1:-1]}"
    await shared(apps, name)
    await registry.delete(mark)
    while name in await renditions(nats_url):
        await asyncio.sleep(0.01)
    for http in replicas:
        while (gone := await http.get(url)).status_code == 200:
            await asyncio.sleep(0.01)
        assert (gone.status_code, gone.json()["code"]) == (422, "unknown_watermark")
