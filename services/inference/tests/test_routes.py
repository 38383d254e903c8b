from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from imagesystem import ids
from imagesystem.events import Deleted, Uploaded
from imagesystem.memory import MemoryPlatform
from imagesystem.testing import client
from inference_service import bodies
from inference_service.app import create_app
from inference_service.settings import Settings
from PIL import Image, ImageChops

from services.inference.tests.specimens import DATA, png


def text_field(value: bytes, charset: str = "utf-8") -> bytes:
    head = (
        '--x\r\ncontent-disposition: form-data; name="a"\r\n'
        f"content-type: text/plain; charset={charset}\r\n\r\n"
    )
    return head.encode() + value + b"\r\n--x--\r\n"


POISON = png("orchid")
SETTINGS = Settings(
    workers=1,
    tasks="analysis,faces",
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
    models = {row["task"]: row for row in (await http.get("/inference/models")).json()["models"]}
    assert set(models) == {"analysis", "embedding", "objects", "faces", "text", "labels"}
    assert (models["analysis"]["version"], models["analysis"]["active"]) == ("1", True)
    assert models["faces"]["model"] == "haar-frontalface+profile"
    assert models["text"]["active"] is False
    assert models["labels"]["needs"] == ["analysis", "objects", "faces", "text"]
    assert {row["trouble"] for row in models.values()} == {None}


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
        ({"content": b"nonsense", "headers": FORM}, (400, "malformed_multipart")),
        ({"content": text_field(b"\xff"), "headers": FORM}, (400, "unknown_field")),
        ({"content": text_field(b"a", charset="none"), "headers": FORM}, (400, "unknown_field")),
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
    monkeypatch.setattr(bodies, "IDLE_S", 0.05)

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
    answers = schema["paths"]["/inference/{task}"]["post"]["responses"]["200"]
    shapes = answers["content"]["application/json"]["schema"]["oneOf"]
    assert len(shapes) == 6
    named = schema["components"]["schemas"]
    for shape in shapes:
        answer = named[shape["$ref"].rpartition("/")[2]]
        task = answer["properties"]["task"]["const"]
        assert answer["properties"]["result"]["$ref"].endswith(f"/{task.capitalize()}")


async def test_the_schema_tells_the_parameters(http: httpx.AsyncClient) -> None:
    paths = (await http.get("/inference/schema/openapi.json")).json()["paths"]
    asked = {p["name"]: p["schema"] for p in paths["/inference/{task}"]["post"]["parameters"]}
    assert (asked["min_confidence"]["minimum"], asked["min_confidence"]["maximum"]) == (0, 1)
    assert set(asked) == {"task", "min_confidence", "max_results"}
    drawing = paths["/inference/images/{image_id}/{task}/overlay"]["get"]
    assert {p["name"] for p in drawing["parameters"]} >= {"side", "min_confidence", "image_id"}
    assert list(drawing["responses"]["200"]["content"]) == ["image/png"]


async def test_the_surest_findings_can_be_asked_for(http: httpx.AsyncClient) -> None:
    files = {"file": ("a.png", (DATA / "astronaut.png").read_bytes())}
    body = (await http.post("/inference/faces", files=files)).json()
    (face,) = body["result"]["faces"]
    query = f"min_confidence={face['confidence'] + 0.01}"
    body = (await http.post(f"/inference/faces?{query}", files=files)).json()
    assert body["result"]["faces"] == []
    body = (await http.post("/inference/faces?max_results=1", files=files)).json()
    assert body["result"]["faces"] == [face]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("min_confidence=2", "invalid_parameter"),
        ("min_confidence=nan", "invalid_parameter"),
        ("max_results=0", "invalid_parameter"),
        ("max_results=many", "invalid_parameter"),
        ("max_results=1&max_results=2", "repeated_parameter"),
        ("confidence=0.5", "unknown_parameter"),
    ],
)
async def test_bad_parameters_get_their_reason(
    http: httpx.AsyncClient, query: str, code: str
) -> None:
    files = {"file": ("a.png", png("red"))}
    answer = await http.post(f"/inference/faces?{query}", files=files)
    assert problem(answer) == (400, code)


async def test_a_choice_among_no_findings_is_refused(http: httpx.AsyncClient) -> None:
    files = {"file": ("a.png", png("red"))}
    answer = await http.post("/inference/analysis?max_results=1", files=files)
    assert problem(answer) == (400, "parameter_not_applicable")


async def test_what_was_found_is_drawn(http: httpx.AsyncClient, memory: MemoryPlatform) -> None:
    image_id = await upload(memory, (DATA / "astronaut.png").read_bytes())
    answer = await http.get(f"/inference/images/{image_id}/faces/overlay?side=256")
    assert answer.headers["content-type"] == "image/png"
    drawn = Image.open(io.BytesIO(answer.content))
    assert drawn.size == (256, 256)
    plain = await http.get(f"/inference/images/{image_id}/faces/overlay?side=256&min_confidence=1")
    before = Image.open(io.BytesIO(plain.content))
    left, top, right, bottom = ImageChops.difference(drawn, before).getbbox() or (0, 0, 0, 0)
    # around the face, and its words above it
    assert left >= 80
    assert right <= 200
    assert top >= 12
    assert bottom <= 90


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("analysis", (404, "no_overlay")),
        ("horoscope", (404, "unknown_task")),
        ("text", (404, "no_result")),
        ("faces?side=10", (400, "invalid_parameter")),
        ("faces?width=100", (400, "unknown_parameter")),
    ],
)
async def test_what_cannot_be_drawn_says_why(
    http: httpx.AsyncClient, memory: MemoryPlatform, task: str, expected: tuple[int, str]
) -> None:
    image_id = await upload(memory, png("salmon"))
    path, _, query = task.partition("?")
    answer = await http.get(f"/inference/images/{image_id}/{path}/overlay?{query}")
    assert problem(answer) == expected


async def test_nothing_is_drawn_of_an_image_that_is_not_there(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"/inference/images/{UNKNOWN}/faces/overlay")
    assert problem(answer) == (404, "unknown_image")
