"""A store that is full refuses, says why, keeps nothing by halves, and takes more once it can."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from imagesystem import ids
from imagesystem.bus import api

from tests.pictures import picture
from tests.system import PATIENCE_S, System

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

MIB = 1024**2
#: About 200 KB each: noise does not compress.
SIZE = (320, 240)
#: What stays small, so that NATS as a whole may be small, too.
SMALL = {name: str(MIB) for name in ("RENDITIONS_BYTES", "DEAD_LETTERS_BYTES", "EXAMPLES_BYTES")}


def pictures(count: int) -> list[bytes]:
    return [picture(91_000 + n, "PNG", SIZE) for n in range(count)]


async def upload(http: httpx.AsyncClient, data: bytes) -> httpx.Response:
    return await http.put("/registry/upload?filename=full.png", content=data)


async def fill(http: httpx.AsyncClient, datas: list[bytes]) -> tuple[list[str], bytes]:
    """Upload until one is refused; return the ids of the accepted, and the refused."""
    accepted: list[str] = []
    for data in datas:
        answer = await upload(http, data)
        if answer.status_code == 507:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.json()["code"] == "store_full"
            assert answer.json()["detail"]
            return accepted, data
        assert answer.status_code == 201, answer.text
        accepted.append(ids.image_id(data))
    raise AssertionError(f"{len(datas)} pictures did not fill the store")


async def why_not_ready(http: httpx.AsyncClient) -> str:
    answer = await http.get("/registry/health/ready")
    assert answer.status_code == 503
    line: str = answer.json()["checks"]["room"]
    return line


async def until_ready(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await http.get("/registry/health/ready")).status_code != 200:
            await asyncio.sleep(0.1)


async def limit(system: System, stream: str, max_bytes: int) -> None:
    """Give the stream another limit, as its owner does when it starts with other settings."""
    owner = await system.client("registry")
    config = (await api.api_call(owner, f"STREAM.INFO.{stream}"))["config"]
    await api.api_call(owner, f"STREAM.UPDATE.{stream}", config | {"max_bytes": max_bytes})


async def assert_nothing_kept_of(system: System, data: bytes) -> None:
    image_id = ids.image_id(data)
    assert await system.facts(image_id) == []
    assert await system.objects_of("originals", image_id) == []


async def delete(system: System, http: httpx.AsyncClient, image_id: str) -> None:
    answer = await http.delete(f"/registry/images/{image_id}")
    assert answer.status_code == 202, answer.text
    await system.until_gone(http, image_id)


@pytest.mark.parametrize(
    "environment", [SMALL | {"MAX_ORIGINALS_BYTES": str(2 * MIB)}], indirect=True
)
async def test_originals_are_full(system: System, http: httpx.AsyncClient) -> None:
    accepted, refused = await fill(http, pictures(30))
    line = await why_not_ready(http)
    assert "originals" in line
    assert "MAX_ORIGINALS_BYTES" in line
    await assert_nothing_kept_of(system, refused)
    # everything but uploads goes on
    assert (await http.get(f"/image/images/{accepted[0]}")).status_code == 200
    assert (await system.ready(http, accepted[0]))["status"] == "ready"

    await delete(system, http, accepted[0])
    await until_ready(http)
    assert (await upload(http, refused)).status_code == 201
    assert (await system.ready(http, ids.image_id(refused)))["status"] == "ready"


@pytest.mark.parametrize("environment", [SMALL | {"MAX_FACTS_BYTES": "60000"}], indirect=True)
async def test_facts_are_full(system: System, http: httpx.AsyncClient) -> None:
    accepted, refused = await fill(http, pictures(60))
    line = await why_not_ready(http)
    assert "IMAGES" in line
    assert "MAX_FACTS_BYTES" in line
    await assert_nothing_kept_of(system, refused)

    await delete(system, http, accepted[0])
    await limit(system, "IMAGES", -1)
    await until_ready(http)
    assert (await upload(http, refused)).status_code == 201
    # what inference could not say meanwhile is said now: the messages waited
    for image_id in (*accepted[1:], ids.image_id(refused)):
        assert (await system.ready(http, image_id))["status"] == "ready"
    assert await system.dead_letters("inference-uploaded") == []


@pytest.mark.parametrize(
    "environment", [SMALL | {"NATS_MAX_FILE_STORE": str(5 * MIB)}], indirect=True
)
async def test_nats_is_full(system: System, http: httpx.AsyncClient) -> None:
    accepted, refused = await fill(http, pictures(60))
    assert "NATS_MAX_FILE_STORE" in await why_not_ready(http)
    await assert_nothing_kept_of(system, refused)

    # whatever is killed comes back and finds everything as it was
    for part in ("nats", "registry", "inference"):
        await system.stack.kill(part)
    async with asyncio.timeout(PATIENCE_S):
        while (answer := await upload(http, refused)).status_code != 507:
            assert answer.status_code in (502, 503), answer.text
            await asyncio.sleep(0.2)
    assert (await http.get(f"/image/images/{accepted[-1]}")).status_code == 200

    for image_id in accepted[:3]:
        await delete(system, http, image_id)
    await until_ready(http)
    assert (await upload(http, refused)).status_code == 201
    for image_id in (*accepted[3:], ids.image_id(refused)):
        assert (await system.ready(http, image_id))["status"] == "ready"


@pytest.mark.parametrize("environment", [dict(SMALL)], indirect=True)
async def test_a_limit_below_what_is_stored_deletes_nothing(
    system: System, http: httpx.AsyncClient
) -> None:
    datas = pictures(3)
    for data in datas:
        assert (await upload(http, data)).status_code == 201
    await limit(system, "OBJ_originals", 100_000)
    [another] = pictures(4)[3:]
    assert (await upload(http, another)).status_code == 507
    for data in datas:
        answer = await http.get(f"/image/images/{ids.image_id(data)}")
        assert answer.content == data
    await delete(system, http, ids.image_id(datas[0]))
    assert (await upload(http, another)).status_code == 507

    # the owner applies its settings whenever it starts
    await system.stack.kill("registry")
    await system.back(http, "registry")
    assert (await upload(http, another)).status_code == 201
