"""All six tasks on real pictures, through the one port."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from imagesystem import ids
from PIL import Image, ImageDraw, ImageFont

from tests.system import System, running_system

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

DATA = Path(__file__).parents[1] / "data"
TASKS = ("analysis", "embedding", "objects", "faces", "text", "labels")


@pytest.fixture(scope="module")
async def seeing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """A stack that plans every task."""
    folder = tmp_path_factory.mktemp("seeing")
    async with running_system(folder, {"TASKS": ",".join(TASKS)}) as system:
        yield system


@pytest.fixture(scope="module")
async def http(seeing: System) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=seeing.url, timeout=120) as client:
        yield client


def receipt() -> bytes:
    """A picture with a line of text and a QR code, upside down."""
    image = Image.new("RGB", (700, 420), "white")
    draw = ImageDraw.Draw(image)
    draw.text((40, 40), "Receipt 4711 thank you", fill="black", font=ImageFont.load_default(40))
    code = cv2.QRCodeEncoder.create().encode("https://example.org/4711")
    image.paste(Image.fromarray(np.kron(code, np.ones((6, 6), np.uint8))), (440, 150))
    stream = io.BytesIO()
    image.rotate(180).save(stream, "PNG")
    return stream.getvalue()


async def upload(seeing: System, http: httpx.AsyncClient, data: bytes) -> str:
    answer = await http.post("/registry/upload", files={"file": ("a.png", data)})
    assert answer.status_code == 201, answer.text
    return ids.image_id(data)


async def test_a_portrait_is_understood(seeing: System, http: httpx.AsyncClient) -> None:
    image_id = await upload(seeing, http, (DATA / "astronaut.png").read_bytes())
    document = await seeing.ready(http, image_id)
    assert document["status"] == "ready", document["failed"]
    found = {task: answer["result"] for task, answer in document["inferred"].items()}
    assert set(found) == set(TASKS)
    (face,) = found["faces"]["faces"]
    assert set(face["landmarks"]) == {"left_eye", "right_eye"}
    names = {label["name"] for label in found["labels"]["labels"]}
    assert {"photo", "has faces", "has people", "square"} <= names
    assert found["labels"]["missing"] == []
    field = "inferred.embedding.result.vector"  # long, and therefore only for who asks for it
    asked = (await http.get(f"/metadata/images/{image_id}?fields={field}")).json()
    text = asked["inferred"]["embedding"]["result"]["vector"]
    vector = np.frombuffer(base64.b64decode(text), "<f4")
    assert vector.shape == (found["embedding"]["dimensions"],) == (512,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)

    drawing = await http.get(f"/inference/images/{image_id}/faces/overlay?side=300")
    assert drawing.status_code == 200
    assert Image.open(io.BytesIO(drawing.content)).size == (300, 300)


async def test_text_and_codes_are_read_upside_down_and_labelled(
    seeing: System, http: httpx.AsyncClient
) -> None:
    image_id = await upload(seeing, http, receipt())
    document = await seeing.ready(http, image_id)
    found = {task: answer["result"] for task, answer in document["inferred"].items()}
    assert "Receipt 4711 thank you" in found["text"]["text"]
    assert found["text"]["rotation"] == 180
    (code,) = found["objects"]["objects"]
    assert (code["label"], code["decoded"]) == ("qr code", "https://example.org/4711")
    assert {"has text", "has code"} <= {label["name"] for label in found["labels"]["labels"]}

    answer = await http.post("/inference/text?max_results=1", json={"image_id": image_id})
    assert len(answer.json()["result"]["lines"]) == 1
    assert (await http.post(f"/inference/images/{image_id}/text")).status_code == 202
