"""Webhooks of real processes on a real NATS server, while MongoDB is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from imagesystem.platform import Platform

from services.metadata.tests.endpoints import Endpoint, Reply, Request, endpoint
from services.metadata.tests.samples import image_id, uploaded
from tests.conftest import Server, nats_server
from tests.integration.metadata_process import (
    MetadataProcess,
    browser,
    metadata_process,
    registry,
)

pytestmark = pytest.mark.integration

SETTINGS = {"WEBHOOK_ALLOW_PRIVATE": "true", "WEBHOOK_RETRY_S": "0.2"}


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Server]:
    with nats_server(tmp_path) as server:
        yield server


@pytest.fixture
async def owner(nats: Server) -> AsyncIterator[Platform]:
    async with registry(f"nats://127.0.0.1:{nats.port}") as platform:
        yield platform


@pytest.fixture
def replicas(nats: Server, owner: Platform, tmp_path: Path) -> Iterator[list[MetadataProcess]]:
    del owner  # it has made the streams
    url = f"nats://127.0.0.1:{nats.port}"
    with ExitStack() as stack:
        yield [
            stack.enter_context(metadata_process(url, tmp_path / name, **SETTINGS))
            for name in ("one", "two")
        ]


@pytest.fixture
async def receiver() -> AsyncIterator[Endpoint]:
    async with endpoint() as listening:
        yield listening


async def made(http: httpx.AsyncClient, url: str) -> dict[str, Any]:
    answer = await http.post("/metadata/webhooks", json={"url": url, "facts": ["uploaded"]})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def subjects(receiver: Endpoint) -> set[str]:
    return {event["subject"] for event in receiver.events}


async def test_everything_arrives_although_the_endpoint_and_the_services_fail(
    owner: Platform, replicas: list[MetadataProcess], receiver: Endpoint
):
    """It fails at first, then works; whoever delivers is killed, then the other one."""
    wanted = {image_id(number) for number in range(150)}
    tries = 0

    def reply(request: Request) -> Reply:
        nonlocal tries
        del request
        tries += 1
        return Reply(status=500 if tries < 40 else 200)

    async with browser(replicas[0]) as http:
        webhook = await made(http, receiver.url)
    receiver.reply = reply
    for number in range(50):
        await owner.bus.publish(uploaded(image_id(number)))
    await receiver.until(lambda: receiver.events)
    for index, process in enumerate(replicas):
        await asyncio.to_thread(process.kill)
        for number in range(50 * (index + 1), 50 * (index + 2)):
            await owner.bus.publish(uploaded(image_id(number)))
        await asyncio.to_thread(process.start)
    await receiver.until(lambda: subjects(receiver) == wanted)
    async with browser(replicas[1]) as http:
        path = f"/metadata/webhooks/{webhook['id']}"
        async with asyncio.timeout(60):
            while (view := (await http.get(path)).json())["pending"] or view["failing_since"]:
                await asyncio.sleep(0.05)
        found = (await http.get(f"{path}/deliveries?limit=200")).json()["items"]
    assert view["enabled"]
    done = [item for item in found if item["type"] == "images.v1.uploaded"]
    assert {item["image_id"] for item in done} == wanted
    assert {item["status"] for item in done} == {"delivered"}


async def test_one_replica_delivers_and_the_other_takes_over_when_it_stops(
    owner: Platform, replicas: list[MetadataProcess], receiver: Endpoint
):
    async with browser(replicas[0]) as http:
        await made(http, receiver.url)
    for number in range(20):
        await owner.bus.publish(uploaded(image_id(number)))
    await receiver.until(lambda: len(subjects(receiver)) == 20)
    assert len(receiver.events) == 20  # and nothing twice, with two replicas
    await asyncio.to_thread(replicas[0].stop)
    for number in range(20, 40):
        await owner.bus.publish(uploaded(image_id(number)))
    await receiver.until(lambda: len(subjects(receiver)) == 40)
    assert len(receiver.events) == 40


async def test_a_secret_is_in_no_log(replicas: list[MetadataProcess], receiver: Endpoint):
    async with browser(replicas[0]) as http:
        webhook = await made(http, receiver.url)
        await http.post("/metadata/webhooks", json={"url": receiver.url, "secret": "whsec_nothing"})
    await asyncio.to_thread(replicas[0].stop)
    text = "".join(process.log.read_text() for process in replicas)
    assert "/metadata/webhooks" in text
    assert webhook["secret"] not in text
    assert "whsec_" not in text
