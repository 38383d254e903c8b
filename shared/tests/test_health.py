"""Pauses in readiness: named, and no fault."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from imagesystem import health as health_module
from imagesystem.errors import Unavailable
from imagesystem.health import Health

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


async def test_what_is_paused_is_named_and_the_service_is_ready() -> None:
    health = Health("image")
    health.watch("nats", lambda: None)

    async def paused() -> dict[str, datetime]:
        return {"image-deleted": NOON}

    health.mention(paused)
    report = await health.ready()
    assert (report.status, report.paused) == ("ready", {"image-deleted": NOON})
    assert (await health.live()).paused == {}


@pytest.mark.parametrize("silent", [True, False])
async def test_without_nats_readiness_does_not_wait_for_pauses(
    silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_module, "PAUSES_S", 0.01)
    health = Health("image")
    health.watch("nats", lambda: "not connected to NATS")

    async def paused() -> dict[str, datetime]:
        if silent:
            await asyncio.Event().wait()
        raise Unavailable("nats")

    health.mention(paused)
    report = await health.ready()
    assert (report.status, report.paused) == ("not ready", {})
