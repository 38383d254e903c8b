from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from imagesystem.events import Augmented
from imagesystem.memory import MemoryPlatform
from PIL import Image

Upload = Callable[[bytes], Awaitable[str]]
Delete = Callable[..., Awaitable[None]]
Photo = Callable[..., bytes]

RECIPE: list[dict[str, Any]] = [
    {"operation": "rotate", "parameters": {"angle": {"min": -20, "max": 20}}},
    {"operation": "gaussian_noise", "parameters": {"std": 4}},
]
#: Ends a wait that will never succeed.
PATIENCE_S = 60.0


async def finished(http: httpx.AsyncClient, answer: httpx.Response) -> dict[str, Any]:
    """Return the report of an accepted task once it is over."""
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/augmentation/tasks/{answer.json()['id']}"
    async with asyncio.timeout(PATIENCE_S):
        while True:
            report: dict[str, Any] = (await http.get(answer.headers["location"])).json()
            if report["status"] in ("done", "failed", "cancelled"):
                return report
            await asyncio.sleep(0.02)


async def results(http: httpx.AsyncClient, task_id: str, **query: Any) -> list[dict[str, Any]]:
    """Return all results, page by page."""
    items: list[dict[str, Any]] = []
    cursor = 0
    while cursor is not None:
        answer = await http.get(
            f"/augmentation/results/{task_id}", params={**query, "cursor": cursor}
        )
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        cursor = answer.json()["next_cursor"]
    return items


@pytest.fixture(scope="session")
async def images(upload: Upload, photo: Photo) -> list[str]:
    return [await upload(photo(size=(40 + n, 30))) for n in range(3)]


async def test_a_task_makes_every_variant_of_every_image_once(
    http: httpx.AsyncClient, platform: MemoryPlatform, images: list[str]
) -> None:
    order = {"ids": images, "recipe": RECIPE, "variants": 4, "seed": 7, "format": "webp"}
    report = await finished(http, await http.post("/augmentation/tasks", json=order))
    assert report["status"] == "done"
    assert (report["total"], report["done"], report["failed"]) == (12, 12, 0)
    assert report["progress"] == 1
    assert report["rate_per_s"] > 0
    assert report["failures"] == []
    items = await results(http, report["id"], limit=5)
    pairs = [(item["image_id"], item["variant"]) for item in items]
    assert sorted(pairs) == sorted((image, variant) for image in images for variant in range(4))
    facts = [
        received.event
        for received in platform.bus.log.values()
        if isinstance(received.event, Augmented) and received.event.task_id == report["id"]
    ]
    assert sorted(fact.variant_id for fact in facts) == sorted(i["variant_id"] for i in items)
    assert all(fact.receipt["seed"] == 7 for fact in facts)


async def test_a_variant_is_what_the_preview_shows(
    http: httpx.AsyncClient, images: list[str]
) -> None:
    order = {"ids": images[:1], "recipe": RECIPE, "variants": 3, "seed": 5}
    report = await finished(http, await http.post("/augmentation/tasks", json=order))
    (item,) = (i for i in await results(http, report["id"]) if i["variant"] == 2)
    sent = await http.get(item["url"])
    preview = await http.post(
        "/augmentation/preview",
        json={"image_id": images[0], "recipe": RECIPE, "seed": 5, "variant": 2},
    )
    assert sent.content == preview.content
    assert sent.headers["content-type"] == "image/png"
    assert sent.headers["content-length"] == str(len(sent.content)) == str(item["size_bytes"])
    unchanged = await http.get(item["url"], headers={"if-none-match": sent.headers["etag"]})
    assert unchanged.status_code == 304


@pytest.mark.parametrize("by", ["query", "header"])
async def test_all_results_come_as_a_zip(
    http: httpx.AsyncClient, images: list[str], by: str
) -> None:
    order = {"ids": images, "recipe": RECIPE, "variants": 2, "format": "jpeg", "quality": 70}
    report = await finished(http, await http.post("/augmentation/tasks", json=order))
    url = report["links"]["zip" if by == "query" else "results"]
    headers = {"accept": "application/zip"} if by == "header" else {}
    answer = await http.get(url, headers=headers)
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        assert file.testzip() is None
        pictures = {name for name in file.namelist() if name.endswith(".jpg")}
        assert pictures == {f"{image}/{variant}.jpg" for image in images for variant in range(2)}
        for name in pictures:
            Image.open(io.BytesIO(file.read(name))).verify()
        lines = [json.loads(line) for line in file.read("results.jsonl").splitlines()]
    assert {line["file"] for line in lines} == pictures


async def test_a_unit_that_fails_is_a_result_with_its_reason(
    http: httpx.AsyncClient, images: list[str], upload: Upload
) -> None:
    broken = await upload(b"\x89PNG\r\n\x1a\n and then nothing")
    order = {"ids": [images[0], broken], "recipe": RECIPE, "variants": 2}
    report = await finished(http, await http.post("/augmentation/tasks", json=order))
    assert (report["status"], report["done"], report["failed"]) == ("done", 2, 2)
    assert {failure["image_id"] for failure in report["failures"]} == {broken}
    assert {failure["code"] for failure in report["failures"]} == {"corrupt_pixels"}
    failed = await results(http, report["id"], outcome="failed")
    assert sorted(item["variant"] for item in failed) == [0, 1]
    answer = await http.get(f"/augmentation/results/{report['id']}/{failed[0]['variant_id']}")
    assert (answer.status_code, answer.json()["code"]) == (410, "unit_failed")


async def test_a_cancelled_task_makes_no_more(http: httpx.AsyncClient, images: list[str]) -> None:
    order = {"ids": images, "recipe": RECIPE, "variants": 100}
    accepted = await http.post("/augmentation/tasks", json=order)
    cancelled = await http.post(accepted.json()["links"]["cancel"])
    assert cancelled.status_code == 202
    assert cancelled.json()["status"] == "cancelled"
    report = await finished(http, accepted)
    assert report["status"] == "cancelled"
    assert report["done"] < 300
    assert (await http.delete(f"/augmentation/tasks/{report['id']}")).status_code == 202


async def test_an_image_deleted_meanwhile_fails_its_units_and_keeps_nothing(
    http: httpx.AsyncClient,
    platform: MemoryPlatform,
    upload: Upload,
    delete: Delete,
    photo: Photo,
) -> None:
    image_id = await upload(photo(size=(33, 44)))
    order = {"ids": [image_id], "recipe": RECIPE, "variants": 30}
    accepted = await http.post("/augmentation/tasks", json=order)
    await delete(image_id)
    report = await finished(http, accepted)
    assert report["done"] + report["failed"] == 30
    assert {failure["code"] for failure in report["failures"]} <= {"image_deleted"}
    await platform.bus.settle()
    kept = [info async for info in platform.bucket("variants").watch(follow=False)]
    assert not [info for info in kept if info is not None and info.name.startswith(image_id)]


async def test_scale_a_picture_that_is_sent(http: httpx.AsyncClient, photo: Photo) -> None:
    accepted = await http.post(
        "/augmentation/scale",
        files={"file": ("p.png", photo(size=(60, 40)))},
        data={"width": "30", "height": "30", "preserve_ratio": "true"},
    )
    report = await finished(http, accepted)
    assert (report["kind"], report["total"], report["done"]) == ("scale", 1, 1)
    (item,) = await results(http, report["id"])
    sent = await http.get(item["url"])
    assert Image.open(io.BytesIO(sent.content)).size == (30, 20) == (item["width"], item["height"])


async def test_scale_an_image_without_its_ratio(http: httpx.AsyncClient, images: list[str]) -> None:
    order = {"image_id": images[0], "width": 11, "height": 50, "preserve_ratio": False}
    report = await finished(http, await http.post("/augmentation/scale", json=order))
    (item,) = await results(http, report["id"])
    assert (item["width"], item["height"]) == (11, 50)
    assert item["image_id"] == images[0]


async def test_a_batch_does_every_operation_on_every_image(
    http: httpx.AsyncClient, images: list[str]
) -> None:
    operations = [
        {"operation": "resize", "width": 20},
        [
            {"operation": "crop", "x": 2, "y": 3, "width": 10, "height": 8},
            {"operation": "enhance", "brightness": 1.2, "saturation": 0.5},
            {"operation": "convert", "format": "webp", "quality": 80},
        ],
        {"operation": "filter", "name": "grayscale"},
    ]
    order = {"ids": images, "operations": operations}
    report = await finished(http, await http.post("/augmentation/batch", json=order))
    assert (report["kind"], report["total"], report["done"]) == ("batch", 9, 9)
    items = await results(http, report["id"])
    cropped = [item for item in items if item["variant"] == 1]
    assert {(i["width"], i["height"], i["media_type"]) for i in cropped} == {(10, 8, "image/webp")}
    assert {item["width"] for item in items if item["variant"] == 0} == {20}
    (grey, *_) = (item for item in items if item["variant"] == 2)
    assert Image.open(io.BytesIO((await http.get(grey["url"])).content)).mode == "L"


UNKNOWN = "00000000-0000-8000-8000-000000000000"
GOOD: dict[str, Any] = {"ids": ["FIRST"], "recipe": RECIPE}


@pytest.mark.parametrize(
    ("path", "order", "status", "code"),
    [
        ("tasks", {**GOOD, "ids": []}, 400, "no_images"),
        ("tasks", {**GOOD, "ids": ["FIRST", "FIRST"]}, 400, "repeated_image"),
        ("tasks", {**GOOD, "ids": ["nonsense"]}, 400, "malformed_image_id"),
        ("tasks", {**GOOD, "ids": ["FIRST", UNKNOWN]}, 404, "unknown_image"),
        ("tasks", {**GOOD, "variants": 0}, 400, "invalid_request"),
        ("tasks", {**GOOD, "variants": 10**9}, 400, "task_too_large"),
        ("tasks", {**GOOD, "seed": -1}, 400, "invalid_request"),
        ("tasks", {**GOOD, "format": "bmp"}, 400, "invalid_request"),
        ("tasks", {**GOOD, "quality": 101}, 400, "invalid_request"),
        ("tasks", {**GOOD, "more": 1}, 400, "invalid_request"),
        ("tasks", {**GOOD, "recipe": [{"operation": "melt"}]}, 400, "unknown_operation"),
        ("tasks", {"recipe": []}, 400, "invalid_request"),
        ("batch", {"ids": ["FIRST"], "operations": []}, 400, "no_operations"),
        ("batch", {"ids": ["FIRST"], "operations": [[]]}, 400, "no_operations"),
        ("batch", {"ids": ["FIRST"], "operations": [{"operation": "x"}]}, 400, "invalid_request"),
        (
            "batch",
            {"ids": ["FIRST"], "operations": [{"operation": "resize"}]},
            400,
            "invalid_request",
        ),
        ("scale", {"image_id": "FIRST"}, 400, "invalid_request"),
        ("scale", {"image_id": UNKNOWN, "width": 3}, 404, "unknown_image"),
        (
            "scale",
            {"image_id": "FIRST", "width": 60000, "height": 60000, "preserve_ratio": False},
            400,
            "output_too_large",
        ),
    ],
)
async def test_what_cannot_be_done_is_refused_up_front(
    http: httpx.AsyncClient,
    images: list[str],
    path: str,
    order: dict[str, Any],
    status: int,
    code: str,
) -> None:
    text = json.dumps(order).replace("FIRST", images[0])
    answer = await http.post(
        f"/augmentation/{path}", content=text, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["tasks/nothing", f"tasks/{UNKNOWN}", "results/a.b", f"results/{UNKNOWN}/x-1"]
)
async def test_an_unknown_task_is_404(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(f"/augmentation/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_task")


async def test_an_unknown_variant_is_404(http: httpx.AsyncClient, images: list[str]) -> None:
    order = {"ids": images[:1], "recipe": RECIPE}
    report = await finished(http, await http.post("/augmentation/tasks", json=order))
    for name in ("x", f"{report['id']}-1", f"{report['id']}-00", f"{report['id']}-²"):
        answer = await http.get(f"/augmentation/results/{report['id']}/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_variant")


async def test_tasks_are_listed_in_pages(http: httpx.AsyncClient, images: list[str]) -> None:
    order = {"ids": images[:1], "recipe": RECIPE}
    made = [
        (await finished(http, await http.post("/augmentation/tasks", json=order)))["id"]
        for _ in range(3)
    ]
    listed: list[str] = []
    cursor = 0
    while cursor is not None:
        answer = (await http.get(f"/augmentation/tasks?limit=2&cursor={cursor}")).json()
        listed += [task["id"] for task in answer["items"]]
        cursor = answer["next_cursor"]
    assert [task_id for task_id in listed if task_id in made] == made


async def test_a_task_that_cannot_be_written_down_is_refused(
    http: httpx.AsyncClient, images: list[str]
) -> None:
    chain = [{"operation": "enhance"}] * 32
    order = {"ids": images[:1], "operations": [chain] * 400}
    answer = await http.post("/augmentation/batch", json=order)
    assert (answer.status_code, answer.json()["code"]) == (413, "task_too_large"), answer.text


async def test_the_schema_tells_what_a_task_takes(http: httpx.AsyncClient) -> None:
    paths = (await http.get("/augmentation/schema/openapi.json")).json()["paths"]
    for path, fields in (
        (
            "tasks",
            {
                "ids",
                "query",
                "recipe",
                "variants",
                "seed",
                "format",
                "quality",
                "labels",
                "rules",
            },
        ),
        ("batch", {"ids", "operations", "format", "quality"}),
        ("scale", {"image_id", "width", "height", "preserve_ratio", "format", "quality"}),
    ):
        described = paths[f"/augmentation/{path}"]["post"]
        body = described["requestBody"]["content"]["application/json"]["schema"]
        assert set(body["properties"]) == fields
        assert "TaskReport" in json.dumps(described["responses"]["202"])
