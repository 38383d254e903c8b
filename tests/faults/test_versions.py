"""Two versions of a service at work on the same streams, as during every upgrade."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from imagesystem import ids
from local_stack.parts import table

from tests.conftest import free_port
from tests.faults.test_kills import upload_until_accepted
from tests.pictures import picture
from tests.system import PATIENCE_S, System

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(600)]

#: Runs a service as it was before the contract knew the answers of `analysis`.
OLDER = """
import runpy
import imagesystem.permissions
from imagesystem import events
del events.INFERRED["analysis"]
runpy.run_module("metadata_service", run_name="__main__")
"""


@asynccontextmanager
async def beside(
    system: System, service: str, command: tuple[str, ...] = (), **settings: str
) -> AsyncIterator[tuple[httpx.AsyncClient, asyncio.subprocess.Process]]:
    """Run a process of a service beside those of the stack, with settings or code of its own."""
    part = next(part for part in table(system.stack.plan) if part.name == service)
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(command or part.command),
        env={**part.environ, "HTTP_PORT": str(port), **settings},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            await until_ready(http, service)
            yield http, process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def until_ready(http: httpx.AsyncClient, service: str) -> None:
    async with asyncio.timeout(2 * PATIENCE_S):
        while True:
            with suppress(httpx.TransportError):
                if (await http.get(f"/{service}/health/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.1)


async def test_a_newer_inference_with_another_plan(system: System, http: httpx.AsyncClient) -> None:
    """Each picture is done whole, by either; what the one that dies had in work, by the other."""
    pictures = {ids.image_id(data): data for data in (picture(91_000 + n) for n in range(24))}
    older, newer = ["analysis"], ["analysis", "embedding"]
    first, second = list(pictures)[:12], list(pictures)[12:]
    async with beside(system, "inference", TASKS="analysis,embedding") as (_, process):
        await asyncio.gather(*(upload_until_accepted(http, pictures[name]) for name in first))
        documents = [await system.ready(http, name) for name in first]
        await asyncio.gather(*(upload_until_accepted(http, pictures[name]) for name in second))
        process.kill()
        documents += [await system.ready(http, name) for name in second]
    plans = [document["planned"] for document in documents]
    assert older in plans
    assert newer in plans
    for document in documents:
        assert document["status"] == "ready", document
        assert document["planned"] in (older, newer)
        assert set(document["planned"]) <= set(document["inferred"])
    for consumer in ("inference-uploaded", "metadata-facts"):
        assert await system.dead_letters(consumer) == []


async def test_an_older_metadata_that_does_not_know_a_kind_of_fact(
    system: System, http: httpx.AsyncClient
) -> None:
    """It parks what it cannot read and applies the rest; the upgrade has the rest replayed."""
    pictures = {ids.image_id(data): data for data in (picture(92_000 + n) for n in range(12))}
    await system.stack.hold("metadata")
    async with beside(system, "metadata", (sys.executable, "-c", OLDER)) as (before, _):
        for data in pictures.values():
            await upload_until_accepted(http, data)
        async with asyncio.timeout(PATIENCE_S):
            while len(await system.dead_letters("metadata-facts")) < len(pictures):
                await asyncio.sleep(0.1)
        for image_id in pictures:
            document = (await before.get(f"/metadata/images/{image_id}")).json()
            assert (document["status"], document["filename"]) == ("pending", "p.jpg")
            timeline = await before.get(f"/metadata/images/{image_id}/timeline")
            assert timeline.status_code == 200, timeline.text
        assert (await before.get("/metadata/health/ready")).status_code == 200
        (item, *_) = (await before.get("/metadata/dead-letters")).json()["items"]
        assert (item["code"], item["attempts"]) == ("unknown_subject", 1)
    await system.stack.resume("metadata")
    await system.back(http, "metadata")
    asked = await http.post("/metadata/dead-letters/replay", params={"consumer": "metadata-facts"})
    assert asked.json()["requested"] == len(pictures), asked.text
    for image_id in pictures:
        assert (await system.ready(http, image_id))["status"] == "ready"
    async with asyncio.timeout(PATIENCE_S):
        while (await http.get("/metadata/dead-letters")).json()["items"]:
            await asyncio.sleep(0.1)
