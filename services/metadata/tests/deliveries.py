"""Webhooks as tests make them, and what became of their deliveries."""

from __future__ import annotations

import asyncio
from typing import Any

from services.metadata.tests.conftest import Stage
from services.metadata.tests.endpoints import Endpoint

SETTINGS = {"webhook_allow_private": True, "webhook_retry_s": 0.05, "webhook_timeout_s": 5.0}


async def made(stage: Stage, url: str, **more: Any) -> dict[str, Any]:
    answer = await stage.http.post("/metadata/webhooks", json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    webhook: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/metadata/webhooks/{webhook['id']}"
    return webhook


async def shown(stage: Stage, webhook: dict[str, Any]) -> dict[str, Any]:
    answer = await stage.http.get(f"/metadata/webhooks/{webhook['id']}")
    assert answer.status_code == 200
    return dict(answer.json())


async def deliveries(stage: Stage, webhook: dict[str, Any], **params: Any) -> list[dict[str, Any]]:
    answer = await stage.http.get(f"/metadata/webhooks/{webhook['id']}/deliveries", params=params)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def until_shown(stage: Stage, webhook: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            found = await shown(stage, webhook)
            if all(found[name] == value for name, value in wanted.items()):
                return found
            await asyncio.sleep(0.02)


async def until_delivery(stage: Stage, webhook: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            for found in await deliveries(stage, webhook):
                if all(found[name] == value for name, value in wanted.items()):
                    return found
            await asyncio.sleep(0.02)


def subjects(receiver: Endpoint) -> set[str]:
    return {event["subject"] for event in receiver.events}
