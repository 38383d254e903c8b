"""Kill -9 of each part in turn while pictures come in: nothing accepted is lost or doubled."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from imagesystem import ids

from tests.pictures import picture
from tests.system import System

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(900)]

PARTS = ("registry", "image", "inference", "metadata", "augmentation", "nats", "mongodb")
UPLOADS, AT_ONCE = 100, 8


async def upload_until_accepted(http: httpx.AsyncClient, data: bytes) -> str:
    """Upload as a client does that tries again after an error: the id of what was accepted."""
    while True:
        try:
            answer = await http.post("/registry/upload", files={"file": ("p.jpg", data)})
        except httpx.TransportError:
            await asyncio.sleep(0.3)
            continue
        if answer.status_code in (200, 201):
            return str(answer.json()["id"])
        assert answer.status_code in (502, 503, 504), answer.text
        await asyncio.sleep(0.3)


@pytest.mark.parametrize("part", PARTS)
async def test_what_was_accepted_survives_the_death_of(
    part: str, system: System, http: httpx.AsyncClient
) -> None:
    seed = 10_000 + 1000 * PARTS.index(part)
    pictures = {ids.image_id(data): data for data in (picture(seed + n) for n in range(UPLOADS))}
    gate = asyncio.Semaphore(AT_ONCE)
    accepted: set[str] = set()

    async def upload(data: bytes) -> None:
        async with gate:
            accepted.add(await upload_until_accepted(http, data))

    uploads = [asyncio.create_task(upload(data)) for data in pictures.values()]
    while len(accepted) < UPLOADS // 3:
        await asyncio.sleep(0.02)
    await system.stack.kill(part)
    await asyncio.gather(*uploads)
    await system.back(http, part)

    assert accepted == set(pictures)
    for image_id, data in pictures.items():
        document = await system.ready(http, image_id)
        assert document["status"] == "ready", document
        served = await http.get(f"/image/images/{image_id}")
        assert served.content == data
    listed = [
        item["id"] for item in (await http.get("/metadata/images/list?limit=1000")).json()["items"]
    ]
    assert sorted(id_ for id_ in listed if id_ in pictures) == sorted(pictures)
    for consumer in ("inference-uploaded", "metadata-facts"):
        assert await system.dead_letters(consumer) == []
