"""A service that does not read: nats-server cuts it off, the others go on, and it catches up."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import httpx
import pytest

from services.metadata.tests.samples import image_id, inferred, planned, uploaded
from tests.eventsource import EventSource
from tests.system import PATIENCE_S, System

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(600)]

#: More than the sockets in between hold, so that the server has to wait, and then does not.
FACTS, FACT_BYTES = 400, 200_000


async def cut_off(system: System) -> int:
    """Return how many clients the server has cut off because they did not read."""
    async with httpx.AsyncClient() as http:
        port = system.stack.plan.ports["nats-monitor"]
        found: dict[str, Any] = (await http.get(f"http://127.0.0.1:{port}/varz")).json()
    return int(found["slow_consumers"])


async def test_metadata_that_does_not_read(system: System, http: httpx.AsyncClient) -> None:
    await system.stack.hold("inference")  # nobody analyses what has no bytes
    registry, inference = await system.bus("registry"), await system.bus("inference")
    names = [image_id(number) for number in range(1, 101)]
    feed = EventSource(http, "/metadata/events?types=uploaded")
    heard: list[str] = []

    async def listen() -> None:
        async for event in feed.events():
            heard.append(event["subject"])  # noqa: PERF401  one by one, as they come

    listening = asyncio.create_task(listen())
    try:
        await asyncio.wait_for(feed.opened.wait(), PATIENCE_S)
        pid = system.stack.parts["metadata"].pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            for number, name in enumerate(names):
                await registry.publish(uploaded(name, minutes=number, tags=["x" * 60]))
                await inference.publish(planned(name))
                await inference.publish(inferred(name))
            large = inferred(names[0], colours=("teal",) * (FACT_BYTES // 50))
            async with asyncio.timeout(2 * PATIENCE_S):
                while not await cut_off(system):
                    await inference.publish(large)
            assert system.stack.parts["registry"].status == "ready"
        finally:
            os.kill(pid, signal.SIGCONT)
        for name in names:
            assert (await system.ready(http, name))["status"] == "ready"
        async with asyncio.timeout(PATIENCE_S):
            while set(heard) != set(names):
                await asyncio.sleep(0.05)
    finally:
        listening.cancel()
    assert sorted(heard) == sorted(names), "told once each"
    listed = (await http.get("/metadata/images/list?limit=1000")).json()["items"]
    assert sorted(item["id"] for item in listed) == sorted(names)
    await system.back(http, "metadata")
    assert await system.dead_letters("metadata-facts") == []
