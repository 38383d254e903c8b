"""Search by meaning and for the like of a picture, with a pair of encoders on a running stack."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from imagesystem.models import Shelf
from PIL import Image

from services.inference.tests import onnx_models
from services.inference.tests.onnx_models import install
from tests.system import PATIENCE_S, System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

COLOURS = {"red": (230, 20, 20), "green": (10, 220, 30), "blue": (30, 10, 240)}
PAIR = "colours"


def plain(colour: tuple[int, int, int], side: int = 96) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
async def pair(system: System, http: httpx.AsyncClient) -> AsyncIterator[str]:
    """A pair of encoders in use for embeddings: pictures of a colour lie where its name does."""
    shelf = Shelf(system.stack.data_dir / "models")
    parts = {
        "image": onnx_models.encoder(),
        "text": onnx_models.text_encoder(),
        "tokenizer": onnx_models.tokenizer(),
    }
    install(shelf, PAIR, "clip", ("embedding",), parts, prompt="{}")  # type: ignore[arg-type]
    shelf.use("embedding", PAIR)
    await in_use(http, PAIR)
    yield PAIR
    shelf.use("embedding", None)
    await in_use(http, "looks")
    shelf.remove(PAIR)


async def in_use(http: httpx.AsyncClient, name: str) -> dict[str, Any]:
    """Return how the model does that embeds pictures, once it is the one of that name."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            models = (await http.get("/inference/models")).json()["models"]
            (model,) = (each for each in models if each["task"] == "embedding")
            if (name == PAIR) is (model["model"] == PAIR):
                return dict(model)
            await asyncio.sleep(0.1)


@pytest.fixture(scope="module")
async def pictures(
    system: System, http: httpx.AsyncClient, pair: str
) -> AsyncIterator[dict[str, str]]:
    """The ids of a red, a green and a blue picture that the pair has looked at."""
    found = {}
    for name, colour in COLOURS.items():
        answer = await http.post("/registry/upload", files={"file": (name, plain(colour))})
        found[name] = answer.json()["id"]
        await system.ready(http, found[name])
        again = await http.post(f"/inference/images/{found[name]}/embedding")
        assert again.status_code == 202, again.text
    async with asyncio.timeout(PATIENCE_S):
        while await compared(http) < len(found):
            await asyncio.sleep(0.1)
    yield found
    for image_id in found.values():
        assert (await http.delete(f"/registry/images/{image_id}")).status_code == 202
        await system.until_gone(http, image_id)


async def compared(http: httpx.AsyncClient) -> int:
    """Return with how many pictures a text is compared."""
    answer = await http.get("/metadata/search", params={"text": "red", "tag": "nothing"})
    return int(answer.json()["compared"]["pictures"]) if answer.status_code == 200 else 0


async def test_a_text_finds_what_shows_it(
    http: httpx.AsyncClient, pictures: dict[str, str]
) -> None:
    for name, image_id in pictures.items():
        answer = await http.get("/metadata/search", params={"text": name})
        assert answer.status_code == 200, answer.text
        best = answer.json()["items"][0]
        assert (best["id"], answer.json()["compared"]["model"]) == (image_id, PAIR)
        assert best["score"] > 0.9
    both = await http.get("/metadata/search", params={"text": "red blue", "min_score": 0.5})
    assert {item["id"] for item in both.json()["items"]} == {pictures["red"], pictures["blue"]}


async def test_a_picture_that_is_sent_finds_its_like(
    system: System, http: httpx.AsyncClient, pictures: dict[str, str]
) -> None:
    greenish = plain((60, 200, 60), side=1200)
    raw = await http.post(
        "/metadata/similar?limit=1", content=greenish, headers={"content-type": "image/png"}
    )
    form = await http.post("/metadata/similar?limit=1", files={"file": ("a.png", greenish)})
    for answer in (raw, form):
        assert answer.status_code == 200, answer.text
        assert [item["image"]["id"] for item in answer.json()["items"]] == [pictures["green"]]
    assert await system.objects_of("examples", "") == []
    none = await http.post("/metadata/similar", files={"file": ("a.png", b"no picture")})
    assert (none.status_code, none.json()["code"]) == (415, "unsupported_media_type")


async def test_a_model_without_texts_says_so(
    system: System, http: httpx.AsyncClient, pictures: dict[str, str]
) -> None:
    shelf = Shelf(system.stack.data_dir / "models")
    shelf.use("embedding", None)
    await in_use(http, "looks")
    answer = await http.get("/metadata/search", params={"text": "green red"})
    assert (answer.status_code, answer.json()["code"]) == (422, "no_text_encoder")
