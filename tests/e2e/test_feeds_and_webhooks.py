"""What a browser and an HTTP endpoint are told of an upload, through the one port."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from services.metadata.tests.endpoints import endpoint
from tests.eventsource import EventSource
from tests.pictures import picture
from tests.system import System

pytestmark = pytest.mark.e2e


async def uploaded(http: httpx.AsyncClient, seed: int) -> str:
    answer = await http.post(
        "/registry/upload", files={"file": ("p.png", picture(seed, size=(64, 64)))}
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_browser_hears_what_becomes_of_an_upload(system: System, http: httpx.AsyncClient):
    source = EventSource(http, "/metadata/events?types=uploaded,planned,inferred.analysis,deleted")
    taking = asyncio.create_task(source.take(3))
    await asyncio.wait_for(source.opened.wait(), 60)
    assert source.headers["content-type"].startswith("text/event-stream")
    assert "content-encoding" not in source.headers  # the ingress must not hold it back
    image_id = await uploaded(http, 7_001)
    events = await taking
    assert {event["subject"] for event in events} == {image_id}
    kinds = {event["type"].removeprefix("images.v1.") for event in events}
    assert kinds == {"uploaded", "planned", "inferred.analysis"}

    await http.delete(f"/registry/images/{image_id}")
    resumed = EventSource(http, f"/metadata/events?image={image_id}", source.last_id)
    async with asyncio.timeout(60):
        async for event in resumed.events():
            if event["type"] == "images.v1.deleted":
                break
    await system.until_gone(http, image_id)


async def test_an_endpoint_is_told_by_a_signed_webhook(system: System, http: httpx.AsyncClient):
    async with endpoint() as receiver:
        answer = await http.post(
            "/metadata/webhooks", json={"url": receiver.url, "facts": ["inferred.analysis"]}
        )
        assert answer.status_code == 201, answer.text
        webhook: dict[str, Any] = answer.json()
        assert webhook["ping"]["status"] == "delivered"
        image_id = await uploaded(http, 7_002)
        await receiver.until(lambda: receiver.events)
        (event,) = receiver.events
        assert (event["type"], event["subject"]) == ("images.v1.inferred.analysis", image_id)
        assert receiver.requests[-1].headers["webhook-signature"].startswith("v1,")
        assert (await http.delete(f"/metadata/webhooks/{webhook['id']}")).status_code == 204
    await http.delete(f"/registry/images/{image_id}")
    await system.until_gone(http, image_id)
