"""One picture over HTTP: read, wait, edit."""

from __future__ import annotations

import asyncio

import pytest
from imagesystem.events import Exif, Gps
from metadata_service.documents import Document
from metadata_service.folding import fold

from services.metadata.tests.conftest import Stage
from services.metadata.tests.samples import (
    IMAGE,
    augmented,
    deleted,
    digest,
    failed,
    image_id,
    inferred,
    planned,
    uploaded,
)


async def test_everything_known(stage: Stage):
    exif = Exif(orientation=6, make="Canon", gps=Gps(latitude=1.5, longitude=-2.5))
    await stage.say(uploaded(tags=["a"], exif=exif), planned(), inferred(), augmented())
    answer = await stage.get(IMAGE)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "private, no-cache"
    image = answer.json()
    assert image["id"] == IMAGE
    assert image["status"] == "ready"
    assert (image["width"], image["height"], image["orientation"]) == (480, 640, "portrait")
    assert image["uploaded_at"] == "2026-01-02T03:04:05.678000Z"
    assert image["exif"]["gps"] == {"latitude": 1.5, "longitude": -2.5, "altitude": None}
    assert image["planned"] == ["analysis"]
    assert image["inferred"]["analysis"]["result"]["phash"] == digest(IMAGE)[:16]
    assert image["variants"]["v1"]["receipt"] == {
        "seed": 2**64 - 1,
        "steps.$x": [{"name": "rotate"}],
    }
    assert image["links"] == {
        "metadata": f"/metadata/images/{IMAGE}",
        "image": f"/image/images/{IMAGE}",
        "thumbnail": f"/image/images/{IMAGE}?width=320",
    }


async def test_the_short_way_says_what_the_routes_say(stage: Stage):
    """Who asks from another origin is answered by the routes, who asks for all by a shortcut."""
    await stage.say(uploaded(tags=["a"]), planned(), inferred(), augmented())
    routed = {"origin": "http://elsewhere.example"}
    for path in (IMAGE, image_id(9), "x" * 36):
        short = await stage.http.get(f"/metadata/images/{path}")
        long = await stage.http.get(f"/metadata/images/{path}", headers=routed)
        assert short.status_code == long.status_code
        bodies = [answer.json() | {"request_id": ""} for answer in (short, long)]
        assert bodies[0] == bodies[1]
        headers = [dict(answer.headers) | {"x-request-id": ""} for answer in (short, long)]
        assert headers[0] == headers[1]
    known = {"if-none-match": (await stage.get(IMAGE)).headers["etag"]}
    for headers in (known, known | routed):
        answer = await stage.http.get(f"/metadata/images/{IMAGE}", headers=headers)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == known["if-none-match"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (image_id(9), 404, "unknown_image"),
        ("nonsense", 400, "malformed_image_id"),
        ("0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0", 400, "malformed_image_id"),
        (f"{IMAGE}?depth=2", 400, "unknown_parameter"),
        (f"{IMAGE}?wait=forever", 400, "invalid_parameter"),
        (f"{IMAGE}?wait=ready&timeout=-1", 400, "invalid_parameter"),
        (f"{IMAGE}?wait=ready&timeout=nan", 400, "invalid_parameter"),
        (f"{IMAGE}?wait=ready&timeout=61", 400, "limit_exceeded"),
        (f"{IMAGE}?wait=ready&wait=ready", 400, "repeated_parameter"),
        ("..%2f..%2fetc%2fpasswd", 404, "not_found"),
    ],
)
async def test_bad_requests(stage: Stage, path: str, status: int, code: str):
    await stage.say(uploaded())
    answer = await stage.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.headers["cache-control"] == "no-store"


async def test_a_deleted_picture_is_gone_until_it_is_uploaded_again(stage: Stage):
    await stage.say(uploaded(), planned(), inferred(), deleted())
    answer = await stage.get(IMAGE)
    assert (answer.status_code, answer.json()["code"]) == (410, "image_deleted")
    assert (await stage.get("list")).json()["items"] == []
    await stage.bus.forget(f"images.v1.{IMAGE}.>")
    await stage.say(uploaded())
    again = (await stage.get(IMAGE)).json()
    assert (again["status"], again["inferred"]) == ("pending", {})


async def test_facts_before_the_upload_are_not_a_picture(stage: Stage):
    """They can overtake it: messages are handled many at once."""
    early = fold(fold(None, planned(), 2), inferred(), 3)
    assert early is not None
    await stage.store.write([early])
    assert (await stage.get(IMAGE)).status_code == 404
    assert (await stage.get("list")).json()["count"] == 0
    assert await stage.say(uploaded()) == [1]
    assert (await stage.get(IMAGE)).json()["status"] == "ready"


async def test_an_etag_saves_the_second_answer(stage: Stage):
    await stage.say(uploaded())
    tag = (await stage.get(IMAGE)).headers["etag"]
    headers = {"if-none-match": f'"other", {tag}'}
    same = await stage.http.get(f"/metadata/images/{IMAGE}", headers=headers)
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    await stage.say(planned())
    other = await stage.http.get(f"/metadata/images/{IMAGE}", headers=headers)
    assert other.status_code == 200


async def test_wait_answers_when_the_tasks_are_done(stage: Stage):
    await stage.say(uploaded(), planned())
    waiting = asyncio.create_task(stage.get(IMAGE, wait="ready", timeout=30))
    await stage.say(inferred())
    answer = await waiting
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")


async def test_wait_for_a_picture_that_is_not_known_yet(stage: Stage):
    waiting = asyncio.create_task(stage.get(IMAGE, wait="ready", timeout=30))
    await stage.say(uploaded(), planned(), failed())
    assert (await waiting).json()["status"] == "failed"


async def test_wait_sees_what_another_replica_applied(stage: Stage):
    await stage.say(uploaded(), planned())
    waiting = asyncio.create_task(stage.get(IMAGE, wait="ready", timeout=30))
    await asyncio.sleep(0)
    document = fold(stage.store.documents[IMAGE], inferred(), 1000)
    assert document is not None
    await stage.store.write([document])
    assert (await waiting).json()["status"] == "ready"


async def test_wait_ends_with_what_is_known(stage: Stage):
    await stage.say(uploaded())
    answer = await stage.get(IMAGE, wait="ready", timeout=0)
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    assert (await stage.get(image_id(9), wait="ready", timeout=0)).status_code == 404


async def test_wait_ends_when_the_picture_is_deleted(stage: Stage):
    await stage.say(uploaded(), planned())
    waiting = asyncio.create_task(stage.get(IMAGE, wait="ready", timeout=30))
    await stage.say(deleted())
    assert (await waiting).status_code == 410


async def test_wait_for_a_picture_uploaded_again_before_the_read_model_knows(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    await stage.say(uploaded(), planned(), deleted())
    behind = [stage.store.documents[IMAGE]] * 2
    await stage.bus.forget(f"images.v1.{IMAGE}.>")
    await stage.say(uploaded(), planned(), inferred())
    known = stage.store.documents[IMAGE]

    async def get(_image_id: str) -> Document | None:
        return behind.pop() if behind else known

    monkeypatch.setattr(stage.store, "get", get)
    answer = await stage.get(IMAGE, wait="ready", timeout=30)
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert not behind


async def test_without_mongodb_the_answer_says_so(stage: Stage):
    await stage.say(uploaded())
    stage.store.down = True
    answer = await stage.get(IMAGE)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    ready = await stage.http.get("/metadata/health/ready")
    assert ready.status_code == 503
    assert "down" in ready.json()["checks"]["mongodb"]
    assert (await stage.http.get("/metadata/health/live")).status_code == 200
    stage.store.down = False
    assert (await stage.http.get("/metadata/health/ready")).status_code == 200


async def test_an_outage_of_mongodb_loses_no_fact(stage: Stage):
    stage.store.down = True
    await stage.bus.publish(uploaded())
    await stage.bus.publish(planned())
    answer = await stage.get(IMAGE)
    assert answer.status_code == 503
    stage.store.down = False
    answer = await stage.get(IMAGE, wait="ready", timeout=0)
    await stage.say(inferred())
    assert (await stage.get(IMAGE)).json()["status"] == "ready"
    assert not any(subject.startswith("dead.") for subject in stage.bus.log)


async def test_the_schema_describes_every_parameter(stage: Stage):
    schema = (await stage.http.get("/metadata/schema/openapi.json")).json()
    listing = schema["paths"]["/metadata/images/list"]["get"]["parameters"]
    by_name = {parameter["name"]: parameter for parameter in listing}
    assert by_name["min_width"]["schema"]["minimum"] == 0
    assert by_name["tag"]["schema"]["type"] == "array"
    assert "webp" in by_name["format"]["schema"]["items"]["enum"]
    one = schema["paths"]["/metadata/images/{image_id}"]
    assert {"wait", "timeout", "image_id"} <= {p["name"] for p in one["get"]["parameters"]}
    assert {"200", "202"} <= set(one["patch"]["responses"])
