from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from imagesystem import ids
from imagesystem.events import Deleted, Uploaded
from imagesystem.memory import MemoryPlatform
from imagesystem.testing import client
from inference_service import routes
from inference_service.app import create_app
from inference_service.settings import Settings
from PIL import Image

DATA = Path(__file__).parents[3] / "tests" / "data"


def png(colour: str, size: tuple[int, int] = (40, 30)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "PNG")
    return stream.getvalue()


def text_field(value: bytes, charset: str = "utf-8") -> bytes:
    head = (
        '--x\r\ncontent-disposition: form-data; name="a"\r\n'
        f"content-type: text/plain; charset={charset}\r\n\r\n"
    )
    return head.encode() + value + b"\r\n--x--\r\n"


POISON = png("orchid")
SETTINGS = Settings(
    workers=1,
    max_upload_bytes=1_000_000,
    max_pixels=1_000_000,
    poison_sha256=hashlib.sha256(POISON).hexdigest(),
)


@pytest.fixture(scope="module")
async def memory() -> MemoryPlatform:
    return MemoryPlatform()


@pytest.fixture(scope="module")
async def http(memory: MemoryPlatform) -> AsyncIterator[httpx.AsyncClient]:
    async with client(create_app(SETTINGS, memory.connect)) as http:
        yield http


async def upload(memory: MemoryPlatform, data: bytes) -> str:
    image_id = ids.image_id(data)
    await memory.bucket("originals").put(image_id, data)
    await memory.bus.publish(
        Uploaded(
            image_id=image_id,
            filename="a.png",
            media_type="image/png",
            size_bytes=len(data),
            width=40,
            height=30,
            frames=1,
            sha256=hashlib.sha256(data).hexdigest(),
            uploaded_at=ids.now(),
        )
    )
    await memory.bus.settle()
    return image_id


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, answer.json()["code"]


async def test_the_tasks_are_listed_with_their_models(http: httpx.AsyncClient) -> None:
    (model,) = (await http.get("/inference/models")).json()["models"]
    assert (model["task"], model["version"], model["active"]) == ("analysis", "1", True)


async def test_it_is_ready_and_says_what_it_depends_on(http: httpx.AsyncClient) -> None:
    answer = await http.get("/inference/health/ready")
    assert answer.status_code == 200
    assert {"nats", "inference-uploaded", "inference-analysis"} <= set(answer.json()["checks"])


@pytest.mark.parametrize("field", ["file", "image"])
async def test_a_file_is_analysed_now_and_not_kept(
    http: httpx.AsyncClient, memory: MemoryPlatform, field: str
) -> None:
    before = dict(memory.bus.log)
    files = {field: ("x.png", (DATA / "coffee.png").read_bytes())}
    answer = await http.post("/inference/analysis", files=files)
    assert answer.status_code == 200
    body = answer.json()
    assert body["task"] == "analysis"
    assert body["result"]["kind"]["name"] == "photo"
    assert (body["result"]["width"], body["result"]["height"]) == (600, 400)
    assert dict(memory.bus.log) == before


async def test_an_uploaded_image_is_analysed_now(
    http: httpx.AsyncClient, memory: MemoryPlatform
) -> None:
    image_id = await upload(memory, png("navy"))
    answer = await http.post("/inference/analysis", json={"image_id": image_id})
    assert answer.json()["result"]["colours"] == [{"name": "navy", "hex": "#000080", "share": 1.0}]


UNKNOWN = ids.image_id(b"never uploaded")
FORM = {"content-type": "multipart/form-data; boundary=x"}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"url": "/inference/horoscope", "files": {"file": b"x"}}, (404, "unknown_task")),
        ({"files": {"file": ("a.png", b"")}}, (422, "empty_file")),
        ({"files": {"file": ("a.jpg", b"text")}}, (415, "unsupported_media_type")),
        ({"files": {"file": ("a.png", png("red")[:-25])}}, (422, "corrupt_pixels")),
        ({"files": {"file": ("a.png", png("red", (1001, 1000)))}}, (422, "too_many_pixels")),
        ({"files": {"file": ("a.png", b"\0" * 1_000_001)}}, (413, "body_too_large")),
        ({"files": {"file": ("a.png", b"\0" * 3_000_000)}}, (413, "body_too_large")),
        ({"files": {"data": ("a.png", png("red"))}}, (400, "unknown_field")),
        ({"data": {"file": "text"}, "files": {}}, (415, "unsupported_media_type")),
        (
            {"files": [("file", ("a", png("red"))), ("image", ("b", png("red")))]},
            (400, "too_many_files"),
        ),
        ({"content": b"--x--\r\n", "headers": FORM}, (400, "missing_file")),
        ({"content": b"nonsense", "headers": FORM}, (400, "invalid_request")),
        ({"content": text_field(b"\xff"), "headers": FORM}, (400, "malformed_multipart")),
        (
            {"content": text_field(b"a", charset="none"), "headers": FORM},
            (400, "malformed_multipart"),
        ),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, (400, "")),
        ({"content": png("red"), "headers": {"content-type": "image/png"}}, (415, "")),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, (400, "")),
        ({"json": {}}, (400, "invalid_request")),
        ({"json": {"image_id": UNKNOWN, "more": 1}}, (400, "invalid_request")),
        ({"json": {"image_id": "../../etc"}}, (400, "malformed_image_id")),
        ({"json": {"image_id": UNKNOWN}}, (404, "unknown_image")),
        ({"url": f"/inference/images/{UNKNOWN}/analysis"}, (404, "unknown_image")),
        ({"url": "/inference/images/nonsense/analysis"}, (400, "malformed_image_id")),
        ({"url": f"/inference/images/{UNKNOWN}/horoscope"}, (404, "unknown_task")),
        ({"method": "GET"}, (405, "method_not_allowed")),
        ({"url": "/inference/models"}, (405, "method_not_allowed")),
    ],
)
async def test_bad_requests_get_their_reason(
    http: httpx.AsyncClient, request_: dict[str, Any], expected: tuple[int, str]
) -> None:
    answer = await http.request(**{"method": "POST", "url": "/inference/analysis", **request_})
    status, code = problem(answer)
    assert (status, code if expected[1] else "") == expected


async def test_limits_are_told(http: httpx.AsyncClient) -> None:
    files = {"file": ("a.png", png("red", (1001, 1000)))}
    body = (await http.post("/inference/analysis", files=files)).json()
    told = (body["limit"], body["allowed"], body["actual"])
    assert told == ("MAX_PIXELS", 1_000_000, 1_001_000)
    for size in (1_000_001, 3_000_000):
        files = {"file": ("a.png", b"x" * size)}
        body = (await http.post("/inference/analysis", files=files)).json()
        assert (body["limit"], body["allowed"]) == ("MAX_UPLOAD_BYTES", 1_000_000)
        assert int(body["actual"]) >= size


async def test_a_body_without_a_length_is_bounded_too(http: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
        while sent < 50_000_000:
            sent += 65_536
            yield bytes(65_536)

    answer = await http.post("/inference/analysis", content=endless(), headers=FORM)
    assert problem(answer) == (413, "body_too_large")


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "application/json"])
async def test_a_body_that_stops_in_the_middle_is_given_up(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(routes, "IDLE_S", 0.05)

    async def stalled() -> AsyncIterator[bytes]:
        yield b"--x\r\n"
        await asyncio.Event().wait()

    headers = {"content-type": kind}
    async with asyncio.timeout(30):
        answer = await http.post("/inference/analysis", content=stalled(), headers=headers)
    assert problem(answer) == (408, "body_timeout")


async def test_a_picture_that_kills_its_worker_is_refused_and_the_next_is_served(
    http: httpx.AsyncClient,
) -> None:
    answer = await http.post("/inference/analysis", files={"file": ("a.png", POISON)})
    assert problem(answer) == (422, "unprocessable_picture")
    answer = await http.post("/inference/analysis", files={"file": ("a.png", png("red"))})
    assert answer.status_code == 200


async def test_a_picture_that_kills_its_worker_is_parked_alone(
    http: httpx.AsyncClient, memory: MemoryPlatform
) -> None:
    poisoned = await upload(memory, POISON)
    good = await upload(memory, png("gold"))
    failed: Any = memory.bus.log[f"images.v1.{poisoned}.failed.analysis"].event
    assert failed.stage == "analysis"
    assert f"images.v1.{good}.inferred.analysis" in memory.bus.log
    letters = [s for s in memory.bus.log if s.startswith("dead.v1.inference-uploaded.")]
    assert len(letters) == 1


async def test_a_task_is_run_again(http: httpx.AsyncClient, memory: MemoryPlatform) -> None:
    image_id = await upload(memory, png("olive"))
    subject = f"images.v1.{image_id}.inferred.analysis"
    first = memory.bus.log[subject].sequence
    answer = await http.post(f"/inference/images/{image_id}/analysis")
    assert answer.status_code == 202
    assert answer.json() == {"image_id": image_id, "task": "analysis", "subject": subject}
    await memory.bus.settle()
    assert memory.bus.log[subject].sequence > first


async def test_a_deleted_image_is_gone(http: httpx.AsyncClient, memory: MemoryPlatform) -> None:
    image_id = await upload(memory, png("plum"))
    await memory.bus.publish(Deleted(image_id=image_id, reason="asked", deleted_at=ids.now()))
    answer = await http.post(f"/inference/images/{image_id}/analysis")
    assert problem(answer) == (410, "image_deleted")
    answer = await http.post("/inference/analysis", json={"image_id": image_id})
    assert problem(answer) == (410, "image_deleted")


async def test_the_schema_tells_both_bodies(http: httpx.AsyncClient) -> None:
    schema = (await http.get("/inference/schema/openapi.json")).json()
    body = schema["paths"]["/inference/{task}"]["post"]["requestBody"]
    assert set(body["content"]) == {"multipart/form-data", "application/json"}
    assert json.dumps(schema).count('"Analysis"') >= 1
