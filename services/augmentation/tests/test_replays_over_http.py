"""Contact sheets, drawn labels, replays, examples: what is looked at before a task is ordered."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import numpy as np
import pytest
from augmentation_service.engine import REGISTRY
from PIL import Image

from services.augmentation.tests.test_tasks_over_http import RECIPE

Upload = Callable[[bytes], Awaitable[str]]
Photo = Callable[..., bytes]


def receipt_of(answer: httpx.Response) -> dict[str, Any]:
    text = answer.headers["augmentation-receipt"]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


async def test_a_variant_is_made_again_exactly(
    http: httpx.AsyncClient, upload: Upload, photo: Photo
) -> None:
    image = await upload(photo(size=(70, 50)))
    wanted = {"image_id": image, "recipe": RECIPE, "seed": 11, "variant": 4}
    first = await http.post("/augmentation/preview", json=wanted)
    body = {"image_id": image, "receipt": receipt_of(first)}
    again = (await http.post("/augmentation/replay", json=body)).json()
    assert (again["exact"], again["same_source"]) == (True, True)
    assert base64.b64decode(again["image"]["data"]) == first.content
    picture = await http.post("/augmentation/replay", json=body, headers={"accept": "image/png"})
    assert picture.content == first.content
    assert picture.headers["augmentation-exact"] == "true"


async def test_a_replay_of_another_picture_is_not_exact(
    http: httpx.AsyncClient, photo: Photo
) -> None:
    files = {"file": ("p.png", photo(size=(70, 50)))}
    recipe = {"recipe": json.dumps(RECIPE)}
    receipt = receipt_of(await http.post("/augmentation/preview", files=files, data=recipe))
    other = {"file": ("p.png", photo(size=(72, 50)))}
    answer = await http.post(
        "/augmentation/replay", files=other, data={"receipt": json.dumps(receipt)}
    )
    assert answer.status_code == 200, answer.text
    assert (answer.json()["exact"], answer.json()["same_source"]) == (False, False)
    assert answer.json()["difference"]["pixels"] is True


@pytest.mark.parametrize("change", [{"steps": [{"step": "0"}]}, {"seed": -1}, {"seed": "?"}])
async def test_what_is_no_receipt_is_refused(
    http: httpx.AsyncClient, photo: Photo, change: dict[str, Any]
) -> None:
    files = {"file": ("p.png", photo())}
    data = {"recipe": json.dumps(RECIPE)}
    receipt = receipt_of(await http.post("/augmentation/preview", files=files, data=data))
    answer = await http.post(
        "/augmentation/replay", files=files, data={"receipt": json.dumps(receipt | change)}
    )
    assert answer.status_code == 400, answer.text


async def test_a_contact_sheet_shows_the_variants(http: httpx.AsyncClient, photo: Photo) -> None:
    files = {"file": ("p.png", photo(size=(120, 80)))}
    data = {"recipe": json.dumps(RECIPE), "variants": "5", "tile": "60", "format": "png"}
    answer = await http.post("/augmentation/preview", files=files, data=data)
    sheet = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))
    assert sheet.shape == (2 * 64 + 4, 3 * 64 + 4, 3)
    tiles = [sheet[r : r + 60, c : c + 60] for r in (4, 68) for c in (4, 68, 132)]
    assert (tiles[5] == 255).all()
    for tile in tiles[:5]:
        assert (tile != 255).any()
    assert any((tiles[0] != tile).any() for tile in tiles[1:5])


async def test_labels_are_drawn_when_they_are_asked_for(
    http: httpx.AsyncClient, photo: Photo
) -> None:
    files = {"file": ("p.png", photo(size=(120, 80)))}
    labels = {
        "boxes": [{"x_min": 20, "y_min": 20, "x_max": 80, "y_max": 60, "label": "cat"}],
        "polygons": [{"points": [[5, 60], [40, 75], [10, 75]]}],
        "rotated_boxes": [{"x": 60, "y": 40, "width": 30, "height": 10, "angle": 30}],
        "keypoints": [{"x": 100, "y": 10}],
    }
    data = {"recipe": "[]", **{name: json.dumps(value) for name, value in labels.items()}}
    plain = await http.post("/augmentation/preview", files=files, data=data)
    drawn = await http.post("/augmentation/preview", files=files, data={**data, "draw": "true"})
    assert drawn.status_code == 200, drawn.text
    before, after = (
        np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")).astype(int)
        for answer in (plain, drawn)
    )
    changed = np.abs(before - after).sum(axis=-1) > 0
    assert changed[30, 18:23].any(), "the left side of the box"
    assert changed[10, 98:103].any(), "the keypoint"
    assert not changed[70, 60:110].any(), "where nothing is"


@pytest.mark.parametrize("name", REGISTRY)
async def test_every_operation_has_an_example(http: httpx.AsyncClient, name: str) -> None:
    answer = await http.get(f"/augmentation/operations/{name}/example")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/webp"
    image = Image.open(io.BytesIO(answer.content))
    assert image.size == (2 * 260 + 4, 264)
    unchanged = await http.get(
        f"/augmentation/operations/{name}/example",
        headers={"if-none-match": answer.headers["etag"]},
    )
    assert unchanged.status_code == 304


async def test_there_is_no_example_of_what_there_is_not(http: httpx.AsyncClient) -> None:
    answer = await http.get("/augmentation/operations/rotat/example")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_operation")
