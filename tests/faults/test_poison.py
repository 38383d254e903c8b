"""A picture that kills its worker process, among good ones."""

from __future__ import annotations

import asyncio
import hashlib

import httpx
import pytest
from imagesystem import ids

from tests.pictures import picture
from tests.system import System

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

POISON = picture(66_666)
POISON_SHA256 = hashlib.sha256(POISON).hexdigest()


@pytest.mark.parametrize("environment", [{"POISON_SHA256": POISON_SHA256}], indirect=True)
async def test_the_poison_alone_is_parked(system: System, http: httpx.AsyncClient) -> None:
    good = [picture(60_000 + n) for n in range(50)]
    queue = [*good[:25], POISON, *good[25:]]
    gate = asyncio.Semaphore(8)

    async def upload(data: bytes) -> None:
        async with gate:
            answer = await http.post("/registry/upload", files={"file": ("p.jpg", data)})
            assert answer.status_code == 201, answer.text

    await asyncio.gather(*(upload(data) for data in queue))
    for data in good:
        assert (await system.ready(http, ids.image_id(data)))["status"] == "ready"
    poisoned = await system.ready(http, ids.image_id(POISON))
    assert poisoned["status"] == "failed"
    assert poisoned["failed"]["analysis"]["code"] == "worker_died"
    letters = await system.dead_letters("inference-uploaded")
    assert [(letter.image_id, letter.code) for letter in letters] == [
        (ids.image_id(POISON), "worker_died")
    ]
    assert (await http.get(f"/image/images/{ids.image_id(POISON)}")).content == POISON
