"""What can be asked of renditions, through the one port."""

from __future__ import annotations

import asyncio
import io

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.pictures import sample
from tests.system import System

pytestmark = pytest.mark.e2e


async def uploaded(http: httpx.AsyncClient, name: str) -> str:
    answer = await http.post("/registry/upload", files={"file": (name, sample(name))})
    assert answer.status_code in (200, 201), answer.text
    image_id: str = answer.json()["id"]
    return image_id


def opened(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content)).convert("RGB")


async def test_what_is_encoded_arrives_as_it_was_sent(http: httpx.AsyncClient) -> None:
    image_id = await uploaded(http, "coffee.png")
    by_path = await http.get(f"/image/r/unsafe/w:200/text:a%2Fb%3Bc%25d/{image_id}.webp")
    query = "w=200&text=a/b;c%25d&format=webp"
    by_query = await http.get(f"/image/images/{image_id}?{query}")
    assert opened(by_path).size == opened(by_query).size == (200, 133)
    assert by_path.headers["etag"] == by_query.headers["etag"]


async def test_faces_are_known_before_they_are_redacted(
    system: System, http: httpx.AsyncClient
) -> None:
    image_id = await uploaded(http, "astronaut.png")
    await system.ready(http, image_id)
    url = f"/image/images/{image_id}?redact=faces&redact_with=fill&format=png"
    # In this stack nothing looks for faces, until it is told to.
    answer = await http.get(url)
    assert (answer.status_code, answer.json()["code"]) == (422, "faces_not_planned")
    assert (await http.post(f"/inference/images/{image_id}/faces")).status_code == 202
    while (answer := await http.get(url)).status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        await asyncio.sleep(0.1)
    black = np.asarray(opened(answer)).max(2) == 0
    # her face, and not the picture
    assert black[90:150, 200:250].all()
    assert black.mean() < 0.2
    smart = await http.get(f"/image/images/{image_id}?w=200&ar=3:1&gravity=smart&format=png")
    assert smart.headers["cache-control"] == "public, max-age=86400"
    whole = Image.open(io.BytesIO(sample("astronaut.png"))).convert("RGB").resize((200, 200))
    shown, levels = np.asarray(opened(smart), float), np.asarray(whole, float)
    height = len(shown)
    top = min(
        range(200 - height + 1),
        key=lambda top: np.abs(levels[top : top + height] - shown).mean(),
    )
    # around her face, not around the middle of the picture
    assert top < (200 - height) / 2 - 20


async def test_a_file_is_transformed(http: httpx.AsyncClient) -> None:
    file = {"file": ("rocket.jpg", sample("rocket.jpg"))}
    answer = await http.post("/image/transform?w=100&rotate=90&format=png", files=file)
    assert opened(answer).size == (100, 150)
