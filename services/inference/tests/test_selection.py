"""The service with models from a folder: chosen, exchanged, broken, killed."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from imagesystem.errors import ImageSystemError
from imagesystem.events.questions import Embed, Embedded
from imagesystem.memory import MemoryPlatform
from imagesystem.models import Shelf
from imagesystem.testing import client
from inference_service.app import create_app
from inference_service.settings import Settings
from litestar import Litestar
from PIL import Image

from services.inference.tests import onnx_models
from services.inference.tests.onnx_models import CELL, install
from services.inference.tests.test_text_models import line

BUILT_IN = {"objects": "hog-people+haar+codes", "faces": "haar-frontalface+profile"}


def bright() -> bytes:
    """Return a picture with one bright rectangle."""
    pixels = np.zeros((640, 640, 3), np.uint8)
    pixels[3 * CELL : 4 * CELL, 5 * CELL : 6 * CELL] = 255
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def plain(colour: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (30, 20), colour).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    shelf = Shelf(tmp_path_factory.mktemp("inference") / "models")
    for kind, made in {"yolox": onnx_models.yolox, "yolov8": onnx_models.yolov8}.items():
        install(shelf, f"our-{kind}", kind, ("objects",), {"image": made()}, classes=("a", "b"))
    install(shelf, "our-yunet", "yunet", ("faces",), {"image": onnx_models.yunet()})
    install(
        shelf,
        "pair",
        "clip",
        ("embedding", "labels"),
        {
            "image": onnx_models.encoder(),
            "text": onnx_models.text_encoder(),
            "tokenizer": onnx_models.tokenizer(),
        },
        classes=("red", "green", "blue"),
        prompt="{}",
    )
    return shelf


@pytest.fixture(scope="module")
def settings(shelf: Shelf) -> Settings:
    # labels load the networks for text first, which takes its time on a busy machine
    return Settings(
        workers=2,
        niceness=0,
        deadline_s=110,
        tasks="analysis,objects",
        models_dir=str(shelf.folder),
    )


@pytest.fixture(scope="module")
def platform() -> MemoryPlatform:
    return MemoryPlatform()


@pytest.fixture(scope="module")
def app(settings: Settings, platform: MemoryPlatform) -> Litestar:
    return create_app(settings, platform.connect)


@pytest.fixture(scope="module")
async def http(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    async with client(app) as http:
        yield http


async def models_of(http: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    answer = await http.get("/inference/models")
    assert answer.status_code == 200
    return {row["task"]: row for row in answer.json()["models"]}


async def until(
    http: httpx.AsyncClient, task: str, wanted: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Return the row of a task's model once it is as wanted."""
    async with asyncio.timeout(90):  # what could not be used is tried again after 30 seconds
        while not wanted(row := (await models_of(http))[task]):
            await asyncio.sleep(0.1)
    return row


async def asked(http: httpx.AsyncClient, task: str, data: bytes) -> dict[str, Any]:
    answer = await http.post(f"/inference/{task}", files={"file": data})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_models_are_exchanged_without_a_restart(
    http: httpx.AsyncClient, shelf: Shelf
) -> None:
    before = (await models_of(http))["objects"]
    assert before["model"] == BUILT_IN["objects"]
    assert before["standing"]["chosen"] is None
    assert before["standing"]["device"] == "cpu"
    for name in ("our-yolox", "our-yolov8"):
        shelf.use("objects", name)
        row = await until(http, "objects", lambda row, name=name: row["model"] == name)
        assert row["version"].startswith(shelf.model(name).fingerprint)
        told = await asked(http, "objects", bright())
        assert (told["model"], told["model_version"]) == (name, row["version"])
        (found,) = told["result"]["objects"]
        assert (found["label"], found["detector"]) == ("a", name)
        assert (found["box"]["x"], found["box"]["y"]) == (5 * CELL, 3 * CELL)
    standing = (await models_of(http))["objects"]["standing"]
    assert standing["loaded"]
    assert standing["memory_bytes"] >= 0
    assert standing["batch"] == 1
    assert standing["pace"]["pictures"] == 2
    assert standing["pace"]["mean_ms"] > 0
    shelf.use("objects", None)
    await until(http, "objects", lambda row: row["model"] == BUILT_IN["objects"])
    assert (await asked(http, "objects", bright()))["model"] == BUILT_IN["objects"]


async def test_pictures_asked_together_are_looked_at_together(
    http: httpx.AsyncClient, shelf: Shelf
) -> None:
    shelf.use("faces", "our-yunet")
    await until(http, "faces", lambda row: row["model"] == "our-yunet")
    answers = await asyncio.gather(*(asked(http, "faces", bright()) for _ in range(6)))
    assert [len(told["result"]["faces"]) for told in answers] == [1] * 6
    assert answers[0]["result"]["faces"][0]["landmarks"]["nose"]["x"] == 176


async def test_texts_are_embedded_where_pictures_are(http: httpx.AsyncClient, shelf: Shelf) -> None:
    answer = await http.post("/inference/embedding", json={"text": "red"})
    assert (answer.status_code, answer.json()["code"]) == (422, "no_text_encoder")
    shelf.use("embedding", "pair")
    shelf.use("labels", "pair")
    row = await until(http, "embedding", lambda row: row["model"] == "pair")
    await until(http, "labels", lambda row: row["model"] == "pair+rules")
    answer = await http.post("/inference/embedding", json={"text": "red"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["model"], told["model_version"]) == ("pair", row["version"])
    text = np.frombuffer(base64.b64decode(told["result"]["vector"]), "<f4")
    picture = await asked(http, "embedding", plain("red"))
    vector = np.frombuffer(base64.b64decode(picture["result"]["vector"]), "<f4")
    assert picture["model_version"] == told["model_version"]
    assert float(text @ vector) > 0.99
    labels = (await asked(http, "labels", plain("red")))["result"]["labels"]
    by_name = {label["name"]: label for label in labels}
    assert by_name["red"]["source"] == "recognised"
    assert by_name["landscape"]["source"] == "derived"


async def test_other_services_ask_where_texts_and_pictures_lie(
    http: httpx.AsyncClient, shelf: Shelf, platform: MemoryPlatform
) -> None:
    async def ask(**what: str) -> Embedded:
        return await platform.questions.ask(Embed(patience_s=60, **what))

    shelf.use("embedding", "pair")
    row = await until(http, "embedding", lambda row: row["model"] == "pair")
    examples = platform.bucket("examples")
    await examples.put("one", plain("red"))
    text, picture = await ask(text="red"), await ask(picture="one")
    for answer in (text, picture):
        assert (answer.model, answer.model_version) == ("pair", row["version"])
    vectors = [np.frombuffer(each.result.vector, "<f4") for each in (text, picture)]
    assert float(vectors[0] @ vectors[1]) > 0.99
    await examples.put("two", b"no picture")
    for what, error in (
        ({"picture": "two"}, "unsupported_media_type"),
        ({"picture": "none"}, "object_missing"),
        ({"text": "x" * 2001}, "invalid_request"),
        ({"text": ""}, "invalid_request"),
        ({}, "invalid_request"),
        ({"text": "red", "picture": "one"}, "invalid_request"),
    ):
        with pytest.raises(ImageSystemError) as raised:
            await ask(**what)
        assert raised.value.code == error
    shelf.use("embedding", None)
    await until(http, "embedding", lambda row: row["model"] != "pair")
    with pytest.raises(ImageSystemError) as raised:
        await ask(text="red")
    assert raised.value.code == "no_text_encoder"
    assert (await ask(picture="one")).model != "pair"


async def test_text_is_read_by_a_model_that_tells_its_languages(
    http: httpx.AsyncClient, shelf: Shelf
) -> None:
    before = (await models_of(http))["text"]
    assert {"de", "zh"} <= set(before["languages"])
    parts = {"image": onnx_models.line_reader(), "detector": onnx_models.line_detector()}
    install(shelf, "reader", "ppocr", ("text",), parts, languages=("ko",))  # type: ignore[arg-type]
    shelf.use("text", "reader")
    row = await until(http, "text", lambda row: row["model"] == "reader")
    assert row["languages"] == ["ko"]
    stream = io.BytesIO()
    Image.fromarray(line("rgrb").pixels).save(stream, "PNG")
    told = await asked(http, "text", stream.getvalue())
    assert (told["model"], told["model_version"]) == ("reader", row["version"])
    assert (told["result"]["text"], told["result"]["languages"]) == ("abac", ["ko"])
    shelf.use("text", None)
    await until(http, "text", lambda row: row["model"] == before["model"])


@pytest.mark.parametrize(
    ("task", "body", "status", "code"),
    [
        ("labels", {"text": "red"}, 422, "no_text"),
        ("embedding", {"text": ""}, 400, "invalid_request"),
        ("embedding", {"text": "x" * 2001}, 400, "invalid_request"),
        ("embedding", {"text": 1}, 400, "invalid_request"),
        ("embedding", {}, 400, "invalid_request"),
        ("embedding", {"text": "a", "image_id": "b"}, 400, "invalid_request"),
    ],
)
async def test_texts_that_cannot_be_embedded(
    http: httpx.AsyncClient, task: str, body: dict[str, Any], status: int, code: str
) -> None:
    answer = await http.post(f"/inference/{task}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_model_that_cannot_be_used_changes_nothing_and_is_told(
    http: httpx.AsyncClient, shelf: Shelf
) -> None:
    shelf.use("objects", None)
    await until(http, "objects", lambda row: row["model"] == BUILT_IN["objects"])
    spec = install(
        shelf, "broken", "yolox", ("objects",), {"image": onnx_models.yolov8()}, classes=("a", "b")
    )
    shelf.use("objects", spec.name)
    row = await until(http, "objects", lambda row: row["standing"]["problem"] is not None)
    assert row["standing"]["chosen"] == "broken"
    assert row["model"] == BUILT_IN["objects"]
    assert (
        "broken cannot be used, hog-people+haar+codes answers: a yolox says"
        in (row["standing"]["problem"])
    )
    ready = await http.get("/inference/health/ready")
    assert ready.status_code == 200  # everything else works
    assert "a yolox says" in ready.json()["checks"]["choice for objects"]
    install(
        shelf, "broken", "yolox", ("objects",), {"image": onnx_models.yolox()}, classes=("a", "b")
    )
    row = await until(http, "objects", lambda row: row["model"] == "broken")
    assert row["standing"]["problem"] is None


async def test_a_model_whose_files_go_while_it_answers_goes_on(
    http: httpx.AsyncClient, shelf: Shelf
) -> None:
    install(shelf, "gone", "yunet", ("faces",), {"image": onnx_models.yunet()})
    shelf.use("faces", "gone")
    await until(http, "faces", lambda row: row["model"] == "gone")
    shutil.rmtree(shelf.folder / "gone")
    row = await until(http, "faces", lambda row: row["standing"]["problem"])
    assert "what was loaded of it answers: there is no model 'gone'" in row["standing"]["problem"]
    assert (await asked(http, "faces", bright()))["model"] == "gone"
    shelf.use("faces", None)
    await until(http, "faces", lambda row: row["model"] == BUILT_IN["faces"])


async def test_what_a_killed_runner_had_to_answer_is_answered_later(
    http: httpx.AsyncClient, shelf: Shelf, app: Litestar
) -> None:
    shelf.use("objects", "our-yolox")
    await until(http, "objects", lambda row: row["model"] == "our-yolox")
    runner = app.state.runner
    pid = runner.pid
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        while runner.pid in (pid, None) or runner.trouble is not None:
            await asyncio.sleep(0.05)
    told = await asked(http, "objects", bright())
    assert told["model"] == "our-yolox"
    assert len(told["result"]["objects"]) == 1


async def test_a_device_that_is_not_there_is_not_ready(shelf: Shelf, tmp_path: Path) -> None:
    settings = Settings(workers=1, tasks="analysis", models_dir=str(tmp_path), provider="cuda")
    async with client(create_app(settings, MemoryPlatform().connect)) as http:
        answer = await http.get("/inference/health/ready")
        if answer.status_code == 200:
            pytest.skip("there is one")
        assert answer.status_code == 503
        assert "PROVIDER=cuda: this onnxruntime has" in answer.json()["checks"]["models"]
