"""Kill -9 in the middle of a task, again and again: every unit is made, and counted, once."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from imagesystem.events import Augmented

from tests.pictures import picture
from tests.system import PATIENCE_S, System

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(900)]

IMAGES, VARIANTS = 4, 40
RECIPE: list[dict[str, Any]] = [
    {"operation": "rotate", "parameters": {"angle": {"min": -15, "max": 15}}},
    {"operation": "gaussian_noise", "parameters": {"std": {"min": 1, "max": 20}}},
]
#: When to kill, in units that ended: at once (planning), early, and in the middle.
MOMENTS = (0, 20, 80)


async def report_of(http: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """Return the task's report, asking again while the service is away."""
    async with asyncio.timeout(3 * PATIENCE_S):
        while True:
            try:
                answer = await http.get(url)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code == 200:
                report: dict[str, Any] = answer.json()
                return report
            await asyncio.sleep(0.1)


async def until(http: httpx.AsyncClient, url: str, ended: int) -> dict[str, Any]:
    """Return the report once so many units have ended."""
    async with asyncio.timeout(5 * PATIENCE_S):
        while True:
            report = await report_of(http, url)
            if report["done"] + report["failed"] >= ended:
                return report
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("part", ["augmentation", "nats"])
async def test_no_unit_is_lost_or_doubled_by_the_death_of(
    part: str, system: System, http: httpx.AsyncClient
) -> None:
    images = []
    for number in range(IMAGES):
        files = {"file": ("p.jpg", picture(80_000 + number, size=(640, 480)))}
        images.append((await http.post("/registry/upload", files=files)).json()["id"])
    order = {"ids": images, "recipe": RECIPE, "variants": VARIANTS, "format": "webp"}
    accepted = await http.post("/augmentation/tasks", json=order)
    assert accepted.status_code == 202, accepted.text
    url, total = accepted.headers["location"], IMAGES * VARIANTS
    for moment in MOMENTS:
        before = await until(http, url, moment)
        assert before["done"] < total, "it was over before it was broken: make it larger"
        await system.stack.kill(part)
        await system.back(http, part)
    report = await until(http, url, total)

    assert (report["status"], report["total"], report["done"]) == ("done", total, total)
    assert report["failed"] == 0
    listed: list[dict[str, Any]] = []
    cursor: int | None = 0
    while cursor is not None:
        page = (await http.get(f"{report['links']['results']}?limit=50&cursor={cursor}")).json()
        listed += page["items"]
        cursor = page["next_cursor"]
    wanted = sorted((image_id, variant) for image_id in images for variant in range(VARIANTS))
    assert sorted((item["image_id"], item["variant"]) for item in listed) == wanted
    for image_id in images:
        facts = [r.event for r in await system.facts(image_id) if isinstance(r.event, Augmented)]
        named = sorted(item["object"] for item in listed if item["image_id"] == image_id)
        assert sorted(fact.object for fact in facts) == named
        assert sorted(await system.objects_of("variants", image_id)) == named
    for item in listed[::10]:
        sent = await http.get(item["url"])
        assert len(sent.content) == item["size_bytes"]
    assert await system.dead_letters("augmentation-units") == []
