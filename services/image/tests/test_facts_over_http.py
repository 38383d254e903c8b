"""What depends on facts and on other images: crops, redaction, watermarks, fallbacks."""

from __future__ import annotations

import numpy as np
from image_service.app import create_app
from image_service.settings import Settings
from imagesystem import ids
from imagesystem.events import FacesInferred, Failed, Planned
from imagesystem.events.results import Box, Face, Faces, Rectangle
from imagesystem.testing import client
from PIL import Image

from services.image.tests.samples import colour_at, corners, opened, quadrants, saved

NOBODY = "0198c0de-0000-8000-8000-000000000000"


def inferred(image_id: str, *boxes: tuple[float, float, float, float]) -> FacesInferred:
    faces = [
        Face(
            box=Box(x=0, y=0, width=1, height=1, relative=Rectangle(x=x, y=y, width=w, height=h)),
            confidence=0.9,
        )
        for x, y, w, h in boxes
    ]
    return FacesInferred(
        image_id=image_id,
        task="faces",
        model="m",
        model_version="1",
        duration_ms=1.0,
        inferred_at=ids.now(),
        result=Faces(width=400, height=200, faces=faces),
    )


async def test_an_early_crop_never_becomes_immutable(http, upload, platform):
    original = await upload(saved(quadrants(400, 202)), media_type="image/png", height=202)
    url = f"/image/images/{original.image_id}?w=40&h=40&fit=cover&gravity=smart&format=png"
    early = await http.get(url)
    assert early.headers["cache-control"] == "public, max-age=5"
    plan = Planned(image_id=original.image_id, tasks=["faces"], planned_at=ids.now())
    await platform.bus.publish(plan)
    await platform.bus.publish(inferred(original.image_id, (0.02, 0.1, 0.1, 0.2)))
    later = await http.get(url, headers={"if-none-match": early.headers["etag"]})
    assert later.status_code == 200
    assert later.headers["etag"] != early.headers["etag"]
    assert later.headers["cache-control"] == "public, max-age=86400"
    assert colour_at(opened(later.content), 0.2, 0.2) == "red"
    again = await http.get(url, headers={"if-none-match": later.headers["etag"]})
    assert again.status_code == 304


async def test_faces_that_are_not_known_are_never_shown(http, upload, platform):
    original = await upload(saved(quadrants(400, 204)), media_type="image/png", height=204)
    url = f"/image/images/{original.image_id}?redact=faces&redact_with=fill&format=png"
    pending = await http.get(url)
    assert (pending.status_code, pending.json()["code"]) == (503, "faces_pending")
    assert pending.headers["retry-after"]
    assert pending.headers["cache-control"] == "no-store"
    plan = Planned(image_id=original.image_id, tasks=["faces"], planned_at=ids.now())
    await platform.bus.publish(plan)
    failure = Failed(
        image_id=original.image_id,
        stage="faces",
        code="x",
        message="x",
        attempts=1,
        failed_at=ids.now(),
    )
    await platform.bus.publish(failure)
    assert ((await http.get(url)).status_code, (await http.get(url)).json()["code"]) == (
        422,
        "faces_failed",
    )
    await platform.bus.publish(inferred(original.image_id, (0.1, 0.1, 0.2, 0.2)))
    response = await http.get(url)
    assert response.status_code == 200
    black = np.asarray(opened(response.content).convert("RGB")).max(2) == 0
    assert black[21:60, 41:118].all()


async def test_a_watermark_that_is_deleted_is_no_longer_drawn(http, upload, delete, picture):
    mark = await upload(saved(Image.new("RGB", (8, 8), "blue")), media_type="image/png")
    url = f"/image/images/{picture.image_id}?w=100&watermark={mark.image_id}&format=png"
    shown = await http.get(f"{url}&watermark_opacity=1&watermark_position=northwest")
    assert opened(shown.content).convert("RGB").getpixel((6, 6)) == (0, 0, 255)
    await delete(mark.image_id)
    refused = await http.get(f"{url}&watermark_opacity=1&watermark_position=northwest")
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_watermark")
    assert refused.json()["actual"] == mark.image_id


async def test_a_fallback_is_flagged_and_never_kept(http, upload, delete, picture):
    query = f"w=40&h=40&fit=cover&format=png&fallback={picture.image_id}"
    missing = await http.get(f"/image/images/{NOBODY}?{query}")
    assert (missing.status_code, missing.headers["x-fallback-for"]) == (404, "unknown_image")
    assert missing.headers["cache-control"] == "no-store"
    assert missing.headers["content-type"] == "image/png"
    assert opened(missing.content).size == (40, 40)
    gone = await upload(saved(quadrants(50, 51)))
    await delete(gone.image_id)
    assert (await http.get(f"/image/images/{gone.image_id}?{query}")).status_code == 410
    whole = saved(quadrants(300, 300))
    broken = await upload(whole[: len(whole) // 2], media_type="image/png")
    shown = await http.get(f"/image/images/{broken.image_id}?{query}")
    assert (shown.status_code, shown.headers["x-fallback-for"]) == (422, "corrupt_pixels")
    # what is wrong with the question is not answered by a picture
    asked = await http.get(f"/image/images/{NOBODY}?{query}&blur=x")
    assert asked.status_code == 400
    assert "x-fallback-for" not in asked.headers
    nobody = await http.get(f"/image/images/{NOBODY}?w=5&fallback={NOBODY}")
    assert (nobody.status_code, nobody.json()["code"]) == (404, "unknown_image")


async def test_a_fallback_for_all(platform, picture):
    settings = Settings(workers=1, fallback_image_id=picture.image_id)
    async with client(create_app(settings, platform.connect)) as http:
        response = await http.get(f"/image/images/{NOBODY}?w=20&format=jpeg")
        assert response.headers["x-fallback-for"] == "unknown_image"
        assert corners(opened(response.content)) == "rgby"
        # the original is what it is, or is not there
        assert (await http.get(f"/image/images/{NOBODY}")).json()["code"] == "unknown_image"
