from __future__ import annotations

import asyncio
import io

import pytest
from image_service.app import create_app
from image_service.settings import Settings
from imagesystem.memory import MemoryPlatform
from imagesystem.testing import client
from PIL import Image

RED = (200, 30, 30)


def picture(width: int = 96, height: int = 64, form: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), RED).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
async def url(upload):
    return f"/image/images/{(await upload(picture(), filename='Füße.jpeg')).image_id}"


async def test_a_rendition(http, url):
    response = await http.get(url, params={"width": 48, "format": "webp", "quality": 70})
    assert response.status_code == 200
    made = Image.open(io.BytesIO(response.content))
    assert (made.format, made.size) == ("WEBP", (48, 32))
    assert response.headers["content-type"] == "image/webp"
    assert response.headers["content-length"] == str(len(response.content))
    assert response.headers["cache-control"] == "public, max-age=86400, immutable"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-disposition"] == (
        "inline; filename=\"Fu_e.webp\"; filename*=UTF-8''F%C3%BC%C3%9Fe.webp"
    )
    assert response.headers["etag"].startswith('"')
    assert "vary" not in response.headers


async def test_the_second_time_it_comes_from_the_cache(http, url):
    first = await http.get(url, params={"width": 47})
    second = await http.get(url, params={"width": 47})
    assert first.headers["cache-status"] == "renditions; fwd=miss"
    assert second.headers["cache-status"] == "renditions; hit; detail=memory"
    assert first.content == second.content
    assert first.headers["etag"] == second.headers["etag"]


async def test_head_of_a_rendition(http, url):
    get, head = [await http.request(way, url, params={"w": 46}) for way in ("GET", "HEAD")]
    assert head.status_code == 200
    assert head.content == b""
    for name in ("content-length", "content-type", "etag", "content-disposition"):
        assert head.headers[name] == get.headers[name]


async def test_a_304_costs_no_rendition(http, url, platform):
    etag = (await http.get(url, params={"width": 45})).headers["etag"]
    for bucket in ("originals", "renditions"):
        platform.bucket(bucket).down = True
    try:
        response = await http.get(url, params={"width": 45}, headers={"if-none-match": etag})
    finally:
        for bucket in ("originals", "renditions"):
            platform.bucket(bucket).down = False
    assert response.status_code == 304
    assert response.headers["etag"] == etag


async def test_renditions_have_etags_of_their_own(http, url):
    etags = {
        (await http.get(url, params=params)).headers["etag"]
        for params in ({}, {"width": 44}, {"width": 43}, {"width": 44, "format": "png"})
    }
    assert len(etags) == 4


async def test_a_range_of_a_rendition(http, url):
    whole = await http.get(url, params={"width": 42, "format": "png"})
    part = await http.get(
        url, params={"width": 42, "format": "png"}, headers={"range": "bytes=10-19"}
    )
    assert part.status_code == 206
    assert part.content == whole.content[10:20]
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"


async def test_negotiation_is_said_in_vary(http, url):
    accepting = {"accept": "image/avif,image/webp,*/*;q=0.8"}
    avif = await http.get(url, params={"width": 20, "format": "auto"}, headers=accepting)
    plain = await http.get(url, params={"width": 20, "format": "auto"})
    assert (avif.headers["content-type"], avif.headers["vary"]) == ("image/avif", "accept")
    assert (plain.headers["content-type"], plain.headers["vary"]) == ("image/jpeg", "accept")
    etag = {"if-none-match": avif.headers["etag"]}
    again = await http.get(url, params={"width": 20, "format": "auto"}, headers=accepting | etag)
    assert (again.status_code, again.headers["vary"]) == (304, "accept")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("widht=5", "unknown_parameter"),
        ("width=5&width=6", "repeated_parameter"),
        ("width=0", "invalid_parameter"),
        ("width=%FF", "invalid_parameter"),
        ("quality=101", "invalid_parameter"),
        ("format=svg", "invalid_parameter"),
        ("width=9000&height=9000&fit=contain", "output_too_large"),
    ],
)
async def test_what_cannot_be_asked_for(http, url, query, code):
    response = await http.get(f"{url}?{query}")
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    problem = response.json()
    assert problem["code"] == code
    assert problem["allowed"]


async def test_an_accepted_picture_whose_pixels_are_corrupt(http, upload):
    whole = picture(400, 300, "PNG")
    original = await upload(whole[: len(whole) // 2], media_type="image/png")
    response = await http.get(f"/image/images/{original.image_id}?width=50")
    assert response.status_code == 422
    assert response.json()["code"] == "corrupt_pixels"
    assert response.headers["cache-control"] == "no-store"
    # the bytes themselves are what was uploaded
    assert (await http.get(f"/image/images/{original.image_id}")).status_code == 200


@pytest.mark.parametrize("height", [3000, 5000])
async def test_a_picture_of_too_many_pixels(http, upload, height):
    buffer = io.BytesIO()
    Image.new("1", (5000, height)).save(buffer, "PNG")
    original = await upload(buffer.getvalue(), media_type="image/png")
    problem = (await http.get(f"/image/images/{original.image_id}?width=50")).json()
    assert (problem["status"], problem["code"]) == (422, "too_many_pixels")
    assert (problem["limit"], problem["allowed"]) == ("MAX_PIXELS", 10_000_000)
    assert problem["actual"] == 5000 * height


async def test_deleting_an_image_drops_its_renditions(http, upload, delete, platform):
    original = await upload(picture(90, 60))
    other = await upload(picture(90, 61))
    renditions = platform.bucket("renditions")

    async def cached(image_id: str) -> int:
        names = [info.name async for info in renditions.watch(follow=False) if info]
        return sum(name.startswith(image_id) for name in names)

    for image in (original, other):
        for width in (10, 20, 10, 20):  # what is asked for again is shared with other replicas
            await http.get(f"/image/images/{image.image_id}?width={width}")
        while await cached(image.image_id) < 2:
            await asyncio.sleep(0)
    await delete(original.image_id)
    assert (await http.get(f"/image/images/{original.image_id}?width=10")).status_code == 410
    await platform.bus.settle()
    assert await cached(original.image_id) == 0
    assert await cached(other.image_id) == 2


async def test_the_age_is_a_setting(upload, platform: MemoryPlatform):
    original = await upload(picture(70, 60))
    settings = Settings(workers=1, cache_max_age_s=0)
    async with client(create_app(settings, platform.connect)) as http:
        response = await http.get(f"/image/images/{original.image_id}")
    assert response.headers["cache-control"] == "public, no-cache"
