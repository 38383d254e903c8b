"""Live feeds of a real process on a real NATS server, while MongoDB is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from imagesystem.platform import Platform

from services.metadata.tests.samples import image_id, inferred, planned, uploaded
from tests.conftest import Server, nats_server
from tests.eventsource import EventSource
from tests.integration.metadata_process import (
    MetadataProcess,
    browser,
    metadata_process,
    registry,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Server]:
    with nats_server(tmp_path) as server:
        yield server


@pytest.fixture
async def owner(nats: Server) -> AsyncIterator[Platform]:
    async with registry(f"nats://127.0.0.1:{nats.port}") as platform:
        yield platform


@pytest.fixture
def metadata(nats: Server, owner: Platform, tmp_path: Path) -> Iterator[MetadataProcess]:
    del owner  # it has made the streams
    with metadata_process(f"nats://127.0.0.1:{nats.port}", tmp_path / "metadata") as process:
        yield process


@pytest.fixture
async def http(metadata: MetadataProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(metadata) as client:
        yield client


async def say(owner: Platform, numbers: range) -> None:
    for number in numbers:
        await owner.bus.publish(uploaded(image_id(number)))


async def opened(source: EventSource, count: int) -> asyncio.Task[list[dict[str, object]]]:
    """Return a task that takes `count` events, once the feed is open."""
    taking = asyncio.create_task(source.take(count))
    async with asyncio.timeout(30):
        await source.opened.wait()
    return taking


async def test_a_browser_hears_facts_and_resumes_where_it_was(
    owner: Platform, http: httpx.AsyncClient
):
    source = EventSource(http, "/metadata/events?types=uploaded")
    taking = await opened(source, 1)
    assert source.headers["cache-control"] == "no-store"
    assert source.headers["x-accel-buffering"] == "no"
    assert source.retry_ms > 0
    await owner.bus.publish(uploaded(image_id(1)))
    (event,) = await taking
    assert event["type"] == "images.v1.uploaded"
    await owner.bus.publish(inferred(image_id(1)))  # while nobody listens
    await owner.bus.publish(planned(image_id(1)))
    await owner.bus.publish(uploaded(image_id(2)))
    resumed = EventSource(http, "/metadata/events", source.last_id)
    events = await resumed.take(3)
    kinds = [str(event["type"]).removeprefix("images.v1.") for event in events]
    assert kinds == ["inferred.analysis", "planned", "uploaded"]


async def test_nothing_is_missed_or_told_twice_while_the_service_is_killed(
    owner: Platform, metadata: MetadataProcess, http: httpx.AsyncClient
):
    sources = [EventSource(http, "/metadata/events") for _ in range(5)]
    tasks = [await opened(source, 300) for source in sources]
    saying = asyncio.create_task(say(owner, range(300)))
    for _ in range(2):
        while not all(source.last_id for source in sources):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(metadata.kill)
        await asyncio.to_thread(metadata.start)
    await saying
    for events in await asyncio.gather(*tasks):
        assert [event["subject"] for event in events] == [image_id(n) for n in range(300)]
    assert all(source.connections > 1 for source in sources)


async def test_a_restarted_nats_server_is_followed_on(
    owner: Platform, nats: Server, http: httpx.AsyncClient
):
    source = EventSource(http, "/metadata/events")
    taking = await opened(source, 20)
    await say(owner, range(10))
    nats.kill()
    nats.start()
    await say(owner, range(10, 20))
    events = await taking
    assert [event["subject"] for event in events] == [image_id(n) for n in range(20)]
    assert source.connections == 1


async def test_open_feeds_do_not_keep_it_from_stopping(
    metadata: MetadataProcess, http: httpx.AsyncClient
):
    sources = [EventSource(http, "/metadata/events") for _ in range(10)]
    tasks = [await opened(source, 1) for source in sources]
    await asyncio.to_thread(metadata.stop)
    for task in tasks:
        task.cancel()
    assert all("stopping" in source.comments[-1] for source in sources)
    assert "timeout graceful shutdown exceeded" not in metadata.log.read_text()


async def test_a_reader_that_takes_nothing_holds_up_nobody_and_no_memory(
    owner: Platform, metadata: MetadataProcess, http: httpx.AsyncClient
):
    reader, writer = await asyncio.open_connection("127.0.0.1", metadata.port)
    writer.write(b"GET /metadata/events HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"id: ")  # it is open; from here on nothing is read
    lively = await opened(EventSource(http, "/metadata/events"), 400)
    before = metadata.rss_bytes
    filename = "x" * 60_000
    for number in range(400):
        await owner.bus.publish(uploaded(image_id(number), filename=filename))
    assert len(await lively) == 400
    # 24 MB went by; 8 MiB of them are kept for all readers, and a little is under way
    assert metadata.rss_bytes - before < 100e6
    seen = b""
    async with asyncio.timeout(60):  # it wakes up, and everything is there
        while seen.count(b"id: ") < 400:
            chunk = await reader.read(1 << 20)
            assert chunk
            seen = seen.replace(b"x" * 100, b"") + chunk
    writer.close()
