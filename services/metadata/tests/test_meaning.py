"""Pictures found by what a text means, and by pictures that are not kept: inference is asked."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator
from struct import pack
from typing import Any

import httpx
import pytest
from imagesystem.errors import Rejected, Transient
from imagesystem.events import Annotated, Embedding
from imagesystem.events.questions import Embed, Embedded
from metadata_service.search import meaning
from metadata_service.similarity import embedder
from metadata_service.similarity.embedder import AT_ONCE, WAITING

from services.metadata.tests.conftest import Open, Stage
from services.metadata.tests.samples import at, deleted, embedded, image_id, uploaded

#: Where texts point, in degrees.
TEXTS = {"right": 0.0, "up": 90.0, "left": 180.0}


class Inference:
    """Answers as inference would, with angles; remembers what it was asked."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.version = "1"
        self.error: Exception | None = None
        self.texts: list[str] = []
        self.pictures: list[bytes] = []

    async def embed(self, question: Embed) -> Embedded:
        if self.error is not None:
            raise self.error
        if question.text is not None:
            self.texts.append(question.text)
            angle = TEXTS[question.text]
        else:
            _, data = await self.stage.platform.bucket("examples").get(str(question.picture))
            self.pictures.append(data)
            angle = float(data) if len(data) < 10 else 0.0
        return Embedded(model="looks", model_version=self.version, result=pointing(angle))


def pointing(angle: float) -> Embedding:
    where = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return Embedding(dimensions=2, vector=pack("<2f", *where))


@pytest.fixture
async def inference(stage: Stage) -> AsyncIterator[Inference]:
    inference = Inference(stage)
    async with stage.platform.questions.answering("embed", inference.embed):
        yield inference


async def told(stage: Stage, angles: dict[int, float], version: str = "1") -> None:
    """Say pictures that point somewhere, and wait until all have been taken in."""
    for number, angle in angles.items():
        where = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        name = image_id(number)
        tags = ["even" if number % 2 == 0 else "odd"]
        await stage.say(uploaded(name, tags=tags), embedded(name, where, version=version))
    async with asyncio.timeout(30):
        while True:
            missing = [
                number
                for number in angles
                if (await stage.get(f"{image_id(number)}/similar", limit=1)).status_code != 200
            ]
            if not missing:
                return
            await asyncio.sleep(0.01)


async def found(stage: Stage, **params: Any) -> list[int]:
    answer = await stage.http.get("/metadata/search", params=params)
    assert answer.status_code == 200, answer.text
    return numbers(answer)


def numbers(answer: httpx.Response) -> list[int]:
    known = {image_id(number): number for number in range(1000)}
    items = answer.json()["items"]
    assert answer.json()["count"] == len(items)
    return [known[item.get("image", item)["id"]] for item in items]


async def test_pictures_that_show_what_a_text_says_come_first(
    stage: Stage, inference: Inference
) -> None:
    await told(stage, {1: 80, 2: 10, 3: 170, 4: 40})
    assert await found(stage, text="right") == [2, 4, 1, 3]
    assert await found(stage, text="up") == [1, 4, 2, 3]
    answer = (await stage.http.get("/metadata/search", params={"text": "left"})).json()
    assert answer["compared"] == {"model": "looks", "model_version": "1", "pictures": 4}
    first = answer["items"][0]
    assert first["score"] == pytest.approx(math.cos(math.radians(10)), abs=1e-5)
    assert first["matches"] == [{"field": "embedding", "words": ["left"], "score": first["score"]}]
    assert first["filename"]
    assert "vector" not in str(answer)


async def test_filters_words_and_a_least_cosine_leave_out_the_rest(
    stage: Stage, inference: Inference
) -> None:
    await told(stage, {1: 80, 2: 10, 3: 170, 4: 40})
    assert await found(stage, text="right", tag="even") == [2, 4]
    assert await found(stage, text="right", q="-tag:even") == [1, 3]
    assert await found(stage, text="right", min_score=0.5) == [2, 4]
    assert await found(stage, text="right", q="odd", min_score=0) == [1]
    assert await found(stage, text="right", tag="nothing") == []
    assert await found(stage, text="right", fields="id", limit=1) == [2]
    await stage.say(deleted(image_id(2)))
    async with asyncio.timeout(20):
        while await found(stage, text="right") != [4, 1, 3]:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("few", [0, 2000], ids=["many are left", "few are left"])
async def test_pages_go_through_all_of_them_in_order(
    stage: Stage, inference: Inference, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(meaning, "FEW", few or 1)
    monkeypatch.setattr(meaning, "FIRST", 3)
    chance = random.Random(7)
    angles = {number: float(chance.randrange(0, 180, 5)) for number in range(40)}  # some are equal
    await told(stage, angles)
    for wanted in ({}, {"tag": "odd"}):
        params: dict[str, Any] = {"text": "right", "limit": 7, **wanted}
        seen: list[int] = []
        while True:
            answer = await stage.http.get("/metadata/search", params=params)
            assert answer.status_code == 200, answer.text
            seen += numbers(answer)
            if answer.json()["next"] is None:
                break
            params["cursor"] = answer.json()["next"]
        left = [number for number in angles if not wanted or number % 2]
        assert seen == sorted(left, key=lambda number: (angles[number], image_id(number)))
    assert inference.texts == ["right"]  # whoever turns pages has the text embedded once


async def test_a_picture_that_is_sent_finds_its_like_and_is_not_kept(
    stage: Stage, inference: Inference
) -> None:
    await told(stage, {1: 80, 2: 10, 3: 165})
    raw = await stage.http.post(
        "/metadata/similar?limit=2", content=b"90", headers={"content-type": "image/png"}
    )
    assert raw.status_code == 200, raw.text
    assert numbers(raw) == [1, 3]
    assert raw.json()["items"][0]["cosine"] == pytest.approx(math.cos(math.radians(10)), abs=1e-5)
    form = await stage.http.post("/metadata/similar?limit=2", files={"file": ("a.png", b"90")})
    assert form.json() == raw.json()
    large = bytes(3 * 1024 * 1024)
    whole = await stage.http.post("/metadata/similar", files={"image": ("a.png", large)})
    assert numbers(whole) == [2, 1, 3]
    assert inference.pictures == [b"90", b"90", large]
    left = [info async for info in stage.platform.bucket("examples").watch(follow=False) if info]
    assert left == []


async def test_what_inference_says_no_to_is_told(stage: Stage, inference: Inference) -> None:
    await told(stage, {1: 80})
    headers = {"content-type": "image/png"}
    errors = {
        422: Rejected(422, "no_text_encoder", "the model embeds pictures alone"),
        415: Rejected(415, "unsupported_media_type", "no picture"),
        503: Transient("busy", code="too_busy"),
    }
    for status, error in errors.items():
        inference.error = error
        text = await stage.http.get("/metadata/search?text=up")
        picture = await stage.http.post("/metadata/similar", content=b"1", headers=headers)
        for answer in (text, picture):
            assert (answer.status_code, answer.json()["code"]) == (status, error.code)
            assert ("retry-after" in answer.headers) is (status == 503)
    left = [info async for info in stage.platform.bucket("examples").watch(follow=False) if info]
    assert left == []


async def test_without_inference_it_is_said_at_once_and_the_rest_is_answered(stage: Stage) -> None:
    await told(stage, {1: 80})
    text = await stage.http.get("/metadata/search?text=up")
    picture = await stage.http.post(
        "/metadata/similar", content=b"1", headers={"content-type": "image/jpeg"}
    )
    for answer in (text, picture):
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "inference is away" in answer.json()["detail"]
        assert answer.headers["retry-after"]
    assert await found(stage) == [1]
    assert (await stage.get(f"{image_id(1)}/similar")).status_code == 200


async def test_vectors_of_another_model_are_not_compared(
    stage: Stage, inference: Inference
) -> None:
    nothing = await stage.http.get("/metadata/search?text=up")
    assert (nothing.status_code, nothing.json()["items"]) == (200, [])
    empty = await stage.http.post("/metadata/similar", files={"file": ("a.png", b"90")})
    assert (empty.status_code, empty.json()["items"]) == (200, [])
    await told(stage, {1: 80})
    inference.version = "2"
    for answer in (
        await stage.http.get("/metadata/search?text=left"),
        await stage.http.post("/metadata/similar", files={"file": ("a.png", b"90")}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "no_vectors")
        assert "--not-by 'looks 2'" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("text=", "invalid_parameter"),
        ("text=up&sort=newest", "invalid_parameter"),
        ("text=up&total=true", "parameter_not_applicable"),
        ("text=up&facets=tag", "parameter_not_applicable"),
        ("text=up&min_score=x", "invalid_parameter"),
        ("text=up&cursor=x", "malformed_cursor"),
        (f"text={'x' * 1001}", "invalid_parameter"),
    ],
)
async def test_what_cannot_be_asked_with_a_text(
    stage: Stage, inference: Inference, query: str, code: str
) -> None:
    answer = await stage.http.get(f"/metadata/search?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
    assert inference.texts == []


async def test_bodies_that_are_no_example(open_stage: Open) -> None:
    async with open_stage(max_upload_bytes=1000) as stage:
        inference = Inference(stage)

        async def sent(**body: Any) -> tuple[int, str]:
            answer = await stage.http.post("/metadata/similar", **body)
            return answer.status_code, answer.json()["code"]

        async with stage.platform.questions.answering("embed", inference.embed):
            image = {"content-type": "image/png"}
            assert await sent(content=bytes(1001), headers=image) == (413, "body_too_large")
            assert await sent(content=chunks(1001), headers=image) == (413, "body_too_large")
            assert await sent(files={"file": ("a", bytes(1001))}) == (413, "body_too_large")
            assert await sent(files={"file": ("a", bytes(3_000_000))}) == (413, "body_too_large")
            assert await sent(files={"picture": ("a", b"1")}) == (400, "unknown_field")
            assert await sent(data={"file": "text"}) == (415, "unsupported_media_type")
            two = [("file", ("a", b"1")), ("image", ("b", b"2"))]
            assert await sent(files=two) == (400, "too_many_files")
            form = {"content-type": "multipart/form-data; boundary=x"}
            assert await sent(content=b"--x--\r\n", headers=form) == (400, "missing_file")
            assert await sent(content=b"--x\r\n", headers=form) == (400, "malformed_multipart")
            text = {"content-type": "text/plain"}
            assert await sent(content=b"x", headers=text) == (415, "unsupported_media_type")
            json = {"content-type": "application/json"}
            assert await sent(content=bytes(2**20 + 1), headers=json) == (413, "body_too_large")
        assert inference.pictures == []
        bucket = stage.platform.bucket("examples")
        assert [info async for info in bucket.watch(follow=False) if info] == []


async def test_who_is_too_slow_is_given_up(
    stage: Stage, inference: Inference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedder, "RECEIVE_S", 0.1)

    async def never() -> AsyncIterator[bytes]:
        yield b"9"
        await asyncio.get_running_loop().create_future()

    answer = await stage.http.post(
        "/metadata/similar", content=never(), headers={"content-type": "image/png"}
    )
    assert (answer.status_code, answer.json()["code"]) == (408, "body_timeout")
    assert inference.pictures == []


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size):
        yield b"x"


async def test_too_many_pictures_at_once_are_turned_away(stage: Stage) -> None:
    going = asyncio.Event()

    async def embed(question: Embed) -> Embedded:
        await going.wait()
        return Embedded(model="looks", model_version="1", result=pointing(0))

    async with stage.platform.questions.answering("embed", embed):
        posts = [
            asyncio.create_task(
                stage.http.post("/metadata/similar", files={"file": ("a.png", b"1")})
            )
            for _ in range(AT_ONCE + WAITING + 1)
        ]
        done, _ = await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
        (answer,) = (task.result() for task in done)
        assert (answer.status_code, answer.json()["code"]) == (503, "too_busy")
        going.set()
        statuses = [each.status_code for each in await asyncio.gather(*posts)]
        assert sorted(statuses) == [200] * (AT_ONCE + WAITING) + [503]


async def test_a_caption_narrows_a_meaning(stage: Stage, inference: Inference) -> None:
    await told(stage, {1: 80, 2: 10})
    note = Annotated(image_id=image_id(1), tags=[], caption="A quiet harbour", annotated_at=at(9))
    await stage.say(note)
    assert await found(stage, text="right", q="harbour") == [1]
