"""MongoDB away for two minutes: nothing is given up, everything is caught up."""

from __future__ import annotations

import asyncio
import os
import signal

import httpx
import pytest
from imagesystem import ids

from tests.faults.test_kills import upload_until_accepted
from tests.pictures import picture
from tests.system import System

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(600)]

OUTAGE_S = 120


async def test_two_minutes_without_mongodb(system: System, http: httpx.AsyncClient) -> None:
    pictures = [picture(80_000 + n) for n in range(40)]
    pid = system.stack.parts["mongodb"].pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # it hangs: worse than a refused connection
    try:
        for data in pictures:
            await upload_until_accepted(http, data)
        answer = await http.get("/metadata/images/list")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.headers["content-type"] == "application/problem+json"
        ready = await http.get("/metadata/health/ready")
        assert ready.status_code == 503
        assert ready.json()["checks"]["mongodb"]
        await asyncio.sleep(OUTAGE_S)  # the outage itself: what is tested is that it is long
    finally:
        os.kill(pid, signal.SIGCONT)
    for data in pictures:
        assert (await system.ready(http, ids.image_id(data)))["status"] == "ready"
    for consumer in ("metadata-facts", "inference-uploaded"):
        assert await system.dead_letters(consumer) == []
