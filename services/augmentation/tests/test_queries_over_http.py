"""Tasks whose images a query finds, tasks that are held, and recipes that have a name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import msgspec
import pytest
from imagesystem import ids
from imagesystem.events import Plan, Resolve
from imagesystem.manifests import Manifest, Problem
from imagesystem.memory import MemoryPlatform

from services.augmentation.tests.test_tasks_over_http import PATIENCE_S, RECIPE, finished

Upload = Callable[[bytes], Awaitable[str]]
Photo = Callable[..., bytes]


async def resolved(platform: MemoryPlatform, task_id: str, **found: Any) -> None:
    """Do what metadata does about a query."""
    manifest = Manifest(task_id=task_id, resolved_at=ids.now(), **{"ids": [], **found})
    await platform.bucket("manifests").put(task_id, msgspec.json.encode(manifest))
    await platform.bus.publish(Plan(task_id=task_id, requested_at=ids.now()))


async def test_a_query_is_resolved_and_its_images_are_made(
    http: httpx.AsyncClient, platform: MemoryPlatform, upload: Upload, photo: Photo
) -> None:
    images = [await upload(photo(size=(50 + n, 20))) for n in range(3)]
    query = {"tag": ["sea", "sun"], "min_width": 100, "kind": "photo"}
    order = {"query": query, "recipe": RECIPE, "variants": 2}
    accepted = await http.post("/augmentation/tasks", json=order)
    report = accepted.json()
    assert (report["status"], report["total"]) == ("resolving", 0)
    command = await platform.bus.latest(f"commands.v1.resolve.{report['id']}")
    assert command is not None
    assert isinstance(command.event, Resolve)
    assert command.event.query == {
        "tag": ["sea", "sun"],
        "min_width": ["100"],
        "kind": ["photo"],
    }
    await resolved(platform, report["id"], ids=images)
    report = await finished(http, accepted)
    assert (report["status"], report["total"], report["done"]) == ("done", 6, 6)


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ({"problem": Problem(code="unknown_parameter", message="no `tagg`")}, "unknown_parameter"),
        ({"ids": []}, "no_images"),
    ],
)
async def test_a_query_that_finds_nothing_fails_its_task(
    http: httpx.AsyncClient, platform: MemoryPlatform, found: dict[str, Any], code: str
) -> None:
    order = {"query": {"tagg": "sea"}, "recipe": RECIPE}
    accepted = await http.post("/augmentation/tasks", json=order)
    await resolved(platform, accepted.json()["id"], **found)
    report = await finished(http, accepted)
    assert report["status"] == "failed"
    assert report["problem"]["code"] == code


async def test_ids_or_a_query_but_not_both(http: httpx.AsyncClient) -> None:
    for order in ({}, {"ids": [], "query": {}}):
        answer = await http.post("/augmentation/tasks", json={**order, "recipe": RECIPE})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_a_paused_task_goes_on_where_it_was(
    http: httpx.AsyncClient, upload: Upload, photo: Photo
) -> None:
    image = await upload(photo(size=(44, 22)))
    order = {"ids": [image], "recipe": RECIPE, "variants": 60}
    accepted = await http.post("/augmentation/tasks", json=order)
    links = accepted.json()["links"]
    paused = await http.post(links["pause"])
    assert (paused.status_code, paused.json()["status"]) == (202, "paused")
    async with asyncio.timeout(PATIENCE_S):
        before = -1
        while (done := (await http.get(links["self"])).json()["done"]) != before:
            before = done  # what was in work when it was paused
            await asyncio.sleep(0.2)
    assert done < 60
    resumed = await http.post(links["resume"])
    assert resumed.json()["status"] in ("planning", "running")
    report = await finished(http, accepted)
    assert (report["status"], report["done"], report["failed"]) == ("done", 60, 0)


async def test_all_units_wait_until_they_are_let_go_on(
    http: httpx.AsyncClient, upload: Upload, photo: Photo
) -> None:
    image = await upload(photo(size=(45, 22)))
    until = (await http.post("/augmentation/pause", json={"for_s": 600})).json()["paused_until"]
    try:
        order = {"ids": [image], "recipe": RECIPE}
        accepted = await http.post("/augmentation/tasks", json=order)
        assert accepted.json()["paused_until"] == until
    finally:
        assert (await http.post("/augmentation/resume")).json() == {"paused_until": None}
    assert (await finished(http, accepted))["status"] == "done"


async def test_a_recipe_has_versions_and_each_stays_as_it_was(http: httpx.AsyncClient) -> None:
    url = "/augmentation/recipes/street_scenes"
    other = [{"operation": "flip", "parameters": {"axis": "x"}}]
    first = await http.put(url, json={"recipe": RECIPE, "description": "for cars"})
    assert (first.status_code, first.json()["reference"]) == (201, "street_scenes@1")
    again = await http.put(url, json={"recipe": RECIPE, "description": "for cars"})
    assert (again.status_code, again.json()["version"]) == (200, 1)
    second = await http.put(url, json={"recipe": other})
    assert second.json()["version"] == 2
    assert (await http.get(url)).json()["recipe"] == other
    assert (await http.get(first.headers["location"])).json()["recipe"] == RECIPE
    assert len((await http.get(f"{url}/versions")).json()["versions"]) == 2
    listed = (await http.get("/augmentation/recipes")).json()["items"]
    assert [kept["version"] for kept in listed if kept["name"] == "street_scenes"] == [2]
    assert (await http.delete(url)).status_code == 204
    assert (await http.get(url)).json()["code"] == "unknown_recipe"
    assert (await http.put(url, json={"recipe": RECIPE})).json()["version"] == 3


async def test_a_recipe_is_asked_for_by_its_name(
    http: httpx.AsyncClient, upload: Upload, photo: Photo
) -> None:
    await http.put("/augmentation/recipes/by_name", json={"recipe": RECIPE})
    image = await upload(photo(size=(46, 22)))
    by_name = {"image_id": image, "recipe": "by_name@1", "seed": 3}
    shown = await http.post("/augmentation/preview", json=by_name)
    direct = await http.post("/augmentation/preview", json={**by_name, "recipe": RECIPE})
    assert shown.status_code == 200, shown.text
    assert shown.content == direct.content
    order = {"ids": [image], "recipe": "by_name", "seed": 3}
    report = await finished(http, await http.post("/augmentation/tasks", json=order))
    assert (report["status"], report["recipe_name"]) == ("done", "by_name@1")
    for missing in ("by_name@9", "nobody"):
        answer = await http.post("/augmentation/preview", json={**by_name, "recipe": missing})
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_recipe")


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("a.b", {"recipe": []}, "invalid_name"),
        ("fine", {"recipe": [{"operation": "rotat"}]}, "unknown_operation"),
        ("fine", {"recipe": "fine"}, "malformed_recipe"),
    ],
)
async def test_what_is_no_recipe_is_not_kept(
    http: httpx.AsyncClient, name: str, body: dict[str, Any], code: str
) -> None:
    answer = await http.put(f"/augmentation/recipes/{name}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
