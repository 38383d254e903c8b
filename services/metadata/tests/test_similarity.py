"""Pictures that look alike, over HTTP."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path
from struct import pack
from typing import Any

import httpx
import msgspec
import pytest
from imagesystem.memory import MemoryPlatform
from imagesystem.testing import client
from metadata_service.app import create_app
from metadata_service.memory import MemoryStore
from metadata_service.settings import Settings

from services.metadata.tests.conftest import Stage
from services.metadata.tests.samples import (
    IMAGE,
    deleted,
    embedded,
    image_id,
    planned,
    uploaded,
)

ANGLES = {1: (1.0, 0.0), 2: (0.8, 0.6), 3: (0.6, 0.8), 4: (0.0, 1.0), 5: (-1.0, 0.0)}


async def seen(stage: Stage, path: str, **params: Any) -> list[tuple[str, float]]:
    answer = await stage.http.get(path, params=params)
    assert answer.status_code == 200, answer.text
    assert answer.json()["count"] == len(answer.json()["items"])
    return [(each["image"]["id"], each["cosine"]) for each in answer.json()["items"]]


async def until(stage: Stage, path: str, count: int, **params: Any) -> list[tuple[str, float]]:
    """Return what is found once it is so many: vectors are followed beside the documents."""
    async with asyncio.timeout(20):
        while True:
            answer = await stage.http.get(path, params=params)
            if answer.status_code == 200 and answer.json()["count"] == count:
                return await seen(stage, path, **params)
            await asyncio.sleep(0.01)


async def five(stage: Stage) -> str:
    for number, vector in ANGLES.items():
        name = image_id(number)
        await stage.say(uploaded(name), embedded(name, vector))
    path = f"/metadata/images/{image_id(1)}/similar"
    await until(stage, path, 4)
    return path


async def test_the_nearest_come_first_and_the_picture_itself_does_not(stage: Stage):
    path = await five(stage)
    found = await seen(stage, path)
    assert [name for name, _ in found] == [image_id(number) for number in (2, 3, 4, 5)]
    assert [cosine for _, cosine in found] == pytest.approx([0.8, 0.6, 0.0, -1.0], abs=1e-6)
    assert await seen(stage, path, limit=2) == found[:2]
    assert await seen(stage, path, threshold=0.6 - 1e-6) == found[:2]
    assert await seen(stage, path, threshold=0.99) == []


async def test_what_is_deleted_or_analysed_again_is_found_no_more(stage: Stage):
    path = await five(stage)
    await stage.say(deleted(image_id(2)))
    assert image_id(2) not in dict(await until(stage, path, 3))
    await stage.say(embedded(image_id(3), (0.0, -1.0)))
    async with asyncio.timeout(20):
        while dict(await seen(stage, path))[image_id(3)] > 0.5:
            await asyncio.sleep(0.01)
    gone = await stage.http.get(f"/metadata/images/{image_id(2)}/similar")
    assert (gone.status_code, gone.json()["code"]) == (410, "image_deleted")
    await stage.say(uploaded(image_id(2)))
    again = await stage.http.get(f"/metadata/images/{image_id(2)}/similar")
    assert (again.status_code, again.json()["code"]) == (409, "no_embedding")


async def test_versions_of_a_model_are_not_compared(stage: Stage):
    path = await five(stage)
    await stage.say(embedded(image_id(2), (1.0, 0.0), version="2"))
    assert image_id(2) not in dict(await until(stage, path, 3))
    assert await seen(stage, f"/metadata/images/{image_id(2)}/similar") == []


async def test_an_example_is_a_vector_or_a_picture(stage: Stage):
    await five(stage)

    async def asked(**body: Any) -> httpx.Response:
        return await stage.http.post("/metadata/similar?limit=2", json=body)

    model = {"model": "looks", "model_version": "1"}
    numbers = await asked(vector=[0.0, 5.0], **model)
    assert numbers.status_code == 200, numbers.text
    assert [each["image"]["id"] for each in numbers.json()["items"]] == [image_id(4), image_id(3)]
    packed = await asked(vector=base64.b64encode(pack("<2f", 0.0, 0.1)).decode(), **model)
    assert packed.json() == numbers.json()
    by_id = await asked(image_id=image_id(1))
    assert [each["image"]["id"] for each in by_id.json()["items"]] == [image_id(2), image_id(3)]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_request"),
        (b"[]", 400, "invalid_request"),
        (b"{}", 400, "invalid_request"),
        (b'{"vector": [1, 2], "image_id": "x"}', 400, "invalid_request"),
        (b'{"vector": [1, 2]}', 400, "invalid_request"),
        (b'{"vector": ["a"], "model": "looks", "model_version": "1"}', 400, "invalid_request"),
        (b'{"vector": "%%%", "model": "looks", "model_version": "1"}', 400, "invalid_vector"),
        (b'{"vector": "AAA=", "model": "looks", "model_version": "1"}', 400, "invalid_vector"),
        (b'{"vector": [0, 0], "model": "looks", "model_version": "1"}', 400, "invalid_vector"),
        (b'{"vector": [1e999], "model": "looks", "model_version": "1"}', 400, "invalid_request"),
        (b'{"vector": [], "model": "looks", "model_version": "1"}', 400, "limit_exceeded"),
        (b'{"vector": [1, 2, 3], "model": "looks", "model_version": "1"}', 404, "unknown_space"),
        (b'{"vector": [1, 2], "model": "looks", "model_version": "9"}', 404, "unknown_space"),
        (b'{"image_id": "7"}', 400, "malformed_image_id"),
    ],
)
async def test_bad_examples(stage: Stage, body: bytes, status: int, code: str):
    await stage.say(uploaded(), embedded())
    await until(stage, f"/metadata/images/{IMAGE}/similar", 0)
    answer = await stage.http.post(
        "/metadata/similar", content=body, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def test_pictures_without_an_embedding_say_why(stage: Stage):
    missing = await stage.http.get(f"/metadata/images/{image_id(9)}/similar")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_image")
    await stage.say(uploaded(), planned())
    pending = await stage.http.get(f"/metadata/images/{IMAGE}/similar")
    assert (pending.status_code, pending.json()["code"]) == (409, "no_embedding")
    for query in ("limit=0", "limit=1001", "threshold=2", "threshold=x", "treshold=0"):
        bad = await stage.http.get(f"/metadata/images/{IMAGE}/similar?{query}")
        assert bad.status_code == 400


async def test_a_start_takes_vectors_from_files_and_the_rest_from_the_log(tmp_path: Path):
    platform, store = MemoryPlatform(), MemoryStore()
    path = f"/metadata/images/{image_id(1)}/similar"

    async def found(count: int, settings: Settings) -> list[tuple[str, float]]:
        async with client(create_app(settings, platform.connect, store.open)) as http:
            return await until(Stage(http, platform, store), path, count)

    kept = Settings(index_dir=str(tmp_path))
    abandoned, being_written = tmp_path / "similarity-abandoned", tmp_path / "similarity-new"
    for folder in (abandoned, being_written):
        folder.mkdir()
        (folder / "0.rows").write_bytes(b"half of")
    os.utime(abandoned, (0, 0))
    async with client(create_app(kept, platform.connect, store.open)) as http:
        await five(Stage(http, platform, store))
    assert (tmp_path / "similarity" / "index.json").exists()
    assert (abandoned.exists(), being_written.exists()) == (False, True)
    # What is in the files is not in the log any more, what came and went since is not in the files.
    del platform.bus.log[f"images.v1.{image_id(3)}.inferred.embedding"]
    await platform.bus.publish(uploaded(image_id(6)))
    await platform.bus.publish(embedded(image_id(6), (0.9, 0.1)))
    await platform.bus.publish(deleted(image_id(2)))
    names = [name for name, _ in await found(4, kept)]
    assert names == [image_id(number) for number in (6, 3, 4, 5)]
    # Without files, and with files that are broken, what documents and the log say counts.
    forgotten = msgspec.structs.replace(store.documents[image_id(3)], inferred={})
    store.documents[image_id(3)] = forgotten
    assert len(await found(3, Settings())) == 3
    (tmp_path / "similarity" / "0.rows").write_bytes(b"broken")
    assert len(await found(3, kept)) == 3
