"""Tasks through the one port: variants, a batch, a scaling, each to its results."""

from __future__ import annotations

import asyncio
import io
import zipfile
from typing import Any

import httpx
import pytest
from imagesystem.events import Augmented
from PIL import Image

from tests.pictures import picture
from tests.system import PATIENCE_S, System

pytestmark = pytest.mark.e2e

RECIPE: list[dict[str, Any]] = [
    {"operation": "rotate", "parameters": {"angle": {"min": -15, "max": 15}}},
    {"operation": "flip", "parameters": {"axis": "y"}, "probability": 0.5},
]


async def uploaded(http: httpx.AsyncClient, seed: int) -> str:
    files = {"file": (f"{seed}.jpg", picture(seed, size=(80, 60)))}
    return str((await http.post("/registry/upload", files=files)).json()["id"])


async def finished(http: httpx.AsyncClient, accepted: httpx.Response) -> dict[str, Any]:
    assert accepted.status_code == 202, accepted.text
    async with asyncio.timeout(PATIENCE_S):
        while True:
            report: dict[str, Any] = (await http.get(accepted.headers["location"])).json()
            if report["status"] in ("done", "failed", "cancelled"):
                return report
            await asyncio.sleep(0.1)


async def test_a_task_from_its_order_to_its_zip(system: System, http: httpx.AsyncClient) -> None:
    images = [await uploaded(http, 70_000 + n) for n in range(2)]
    order = {"ids": images, "recipe": RECIPE, "variants": 5, "seed": 3, "format": "webp"}
    report = await finished(http, await http.post("/augmentation/tasks", json=order))
    assert (report["status"], report["total"], report["done"]) == ("done", 10, 10)
    listed = (await http.get(report["links"]["results"])).json()["items"]
    assert len({(item["image_id"], item["variant"]) for item in listed}) == 10
    one = await http.get(listed[0]["url"])
    assert Image.open(io.BytesIO(one.content)).format == "WEBP"
    archive = await http.get(report["links"]["zip"])
    with zipfile.ZipFile(io.BytesIO(archive.content)) as file:
        assert file.testzip() is None
        assert len([name for name in file.namelist() if name.endswith(".webp")]) == 10
    for image_id in images:
        facts = [r.event for r in await system.facts(image_id) if isinstance(r.event, Augmented)]
        assert len(facts) == 5
        assert sorted(fact.object for fact in facts) == sorted(
            await system.objects_of("variants", image_id)
        )


async def test_a_scaling_and_a_batch(http: httpx.AsyncClient) -> None:
    scaled = await finished(
        http,
        await http.post(
            "/augmentation/scale",
            files={"file": ("p.jpg", picture(70_100, size=(80, 60)))},
            data={"width": "40", "height": "40"},
        ),
    )
    (item,) = (await http.get(scaled["links"]["results"])).json()["items"]
    assert Image.open(io.BytesIO((await http.get(item["url"])).content)).size == (40, 30)
    image_id = await uploaded(http, 70_101)
    operations = [{"operation": "filter", "name": "blur"}, {"operation": "resize", "height": 30}]
    order = {"ids": [image_id], "operations": operations}
    report = await finished(http, await http.post("/augmentation/batch", json=order))
    assert (report["status"], report["done"]) == ("done", 2)


async def test_variants_go_with_their_image(system: System, http: httpx.AsyncClient) -> None:
    image_id = await uploaded(http, 70_200)
    order = {"ids": [image_id], "recipe": RECIPE, "variants": 3}
    report = await finished(http, await http.post("/augmentation/tasks", json=order))
    assert len(await system.objects_of("variants", image_id)) == 3
    await http.delete(f"/registry/images/{image_id}")
    async with asyncio.timeout(PATIENCE_S):
        while await system.objects_of("variants", image_id):
            await asyncio.sleep(0.1)
    (item, *_) = (await http.get(report["links"]["results"])).json()["items"]
    assert (await http.get(item["url"])).status_code == 410


async def test_a_task_over_what_a_query_finds(http: httpx.AsyncClient) -> None:
    tag = "found-by-a-query"
    images = []
    for number in range(3):
        files = {"file": (f"{number}.jpg", picture(70_300 + number, size=(80, 60)))}
        sent = await http.post("/registry/upload", files=files, data={"tags": tag})
        images.append(sent.json()["id"])
    async with asyncio.timeout(PATIENCE_S):
        while (await http.get(f"/metadata/images/list?tag={tag}")).json()["count"] < len(images):
            await asyncio.sleep(0.1)
    order = {"query": {"tag": tag, "format": ["jpeg"]}, "recipe": RECIPE, "variants": 2}
    report = await finished(http, await http.post("/augmentation/tasks", json=order))
    assert (report["status"], report["total"], report["done"]) == ("done", 6, 6), report
    listed = (await http.get(report["links"]["results"])).json()["items"]
    assert {item["image_id"] for item in listed} == set(images)


async def test_a_filter_that_there_is_not_fails_the_task(http: httpx.AsyncClient) -> None:
    order = {"query": {"tagg": "sea"}, "recipe": RECIPE}
    report = await finished(http, await http.post("/augmentation/tasks", json=order))
    assert report["status"] == "failed"
    assert report["problem"]["code"] == "unknown_parameter"
    assert "tagg" in report["problem"]["message"]
