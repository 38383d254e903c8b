"""What can be asked for over HTTP besides sizes: paths, signatures, presets, facts, files."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import httpx
import numpy as np
import pytest
from image_service.app import create_app
from image_service.settings import Settings
from image_service.signatures import Signatures, canonical
from imagesystem import ids
from imagesystem.events import FacesInferred, Failed, Planned
from imagesystem.events.results import Box, Face, Faces, Rectangle
from imagesystem.memory import MemoryPlatform
from imagesystem.testing import client
from PIL import Image

from services.image.tests.samples import colour_at, corners, opened, quadrants, saved

KEY = "a-key-of-the-tests-0123456789"
SIGNATURES = Signatures(keys=(KEY.encode(),), unsigned="none")
NOBODY = "0198c0de-0000-8000-8000-000000000000"


@pytest.fixture(scope="session")
async def picture(upload):
    data = saved(quadrants(400, 200), "JPEG", quality=95)
    return await upload(data, width=400, height=200)


@pytest.fixture(scope="session")
async def strict(platform: MemoryPlatform) -> AsyncIterator[httpx.AsyncClient]:
    """A service that wants signatures, knows presets, and may show a fallback."""
    settings = Settings(
        workers=1,
        unsigned="originals",
        signing_keys=KEY,
        presets="thumb=width=40&height=40&fit=cover",
        max_transform_bytes=100_000,
    )
    async with client(create_app(settings, platform.connect)) as http:
        yield http


def signed(path: str, query: str) -> str:
    text, _ = canonical(path, query)
    return f"{path}?{query}&signature={SIGNATURES.sign(text)}"


@pytest.mark.parametrize(
    ("options", "query", "extension"),
    [
        ("width:60/height:60/fit:cover", "w=60&h=60&fit=cover&format=webp", "webp"),
        ("h:60/fit:cover/w:60", "w=60&h=60&fit=cover&format=jpeg", "jpg"),
        ("w:60/grayscale", "w=60&grayscale&format=png", "png"),
        ("w:60/crop:0.1,0.1,0.5,0.5", "w=60&crop=0.1,0.1,0.5,0.5", ""),
        ("w:60/text:a%20b%2Fc%3Ad", "w=60&text=a+b/c:d&format=png", "png"),
        ("w:60/padding:1%2C2", "w=60&padding=1,2", ""),
    ],
)
async def test_options_in_the_path_are_the_same_rendition(http, picture, options, query, extension):
    name = f"{picture.image_id}.{extension}" if extension else picture.image_id
    by_path = await http.get(f"/image/r/unsafe/{options}/{name}")
    by_query = await http.get(f"/image/images/{picture.image_id}?{query}")
    assert by_path.status_code == by_query.status_code == 200
    assert by_path.headers["etag"] == by_query.headers["etag"]
    assert by_path.content == by_query.content


async def test_a_path_without_options_is_the_original(http, picture):
    response = await http.get(f"/image/r/unsafe/{picture.image_id}")
    assert response.headers["etag"] == f'"{picture.sha256}"'
    head = await http.head(f"/image/r/unsafe/w:5/{picture.image_id}.auto")
    assert (head.status_code, head.headers["vary"]) == (200, "accept")


@pytest.mark.parametrize(
    ("rest", "status", "code"),
    [
        ("unsafe/width:0/{id}", 400, "invalid_parameter"),
        ("unsafe/widht:5/{id}", 400, "unknown_parameter"),
        ("unsafe/w:5/{id}.exe", 400, "invalid_parameter"),
        ("unsafe/w:5/format:png/{id}.webp", 400, "repeated_parameter"),
        ("unsafe/w:5/nobody.webp", 400, "malformed_image_id"),
        ("unsafe/w:5/{id}?h=5", 400, "unknown_parameter"),
        ("unsafe/", 404, "malformed_path"),
        ("unsafe", 404, "malformed_path"),
        ("wrong/w:5/{id}", 403, "bad_signature"),
    ],
)
async def test_paths_that_say_nothing(http, picture, rest, status, code):
    response = await http.get("/image/r/" + rest.replace("{id}", picture.image_id))
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["cache-control"] == "no-store"


async def test_where_signatures_are_required(strict, picture):
    path = f"/image/images/{picture.image_id}"
    assert (await strict.get(path)).status_code == 200
    unsigned = await strict.get(f"{path}?w=30")
    assert (unsigned.status_code, unsigned.json()["code"]) == (403, "signature_required")
    assert (await strict.get(signed(path, "w=30"))).status_code == 200
    assert (await strict.get(signed(path, "w=30").replace("w=30", "w=31"))).status_code == 403
    # proxies that sort queries, or repeat none of their order, break nothing
    text = f"{path}?h=30&w=30"
    response = await strict.get(f"{path}?w=30&signature={SIGNATURES.sign(text)}&h=30")
    assert response.status_code == 200


async def test_a_signed_path(strict, picture):
    rest = f"/w:30/fit:cover/{picture.image_id}.webp"
    good = await strict.get(f"/image/r/{SIGNATURES.sign(rest)}{rest}")
    assert (good.status_code, good.headers["content-type"]) == (200, "image/webp")
    assert (await strict.get(f"/image/r/unsafe{rest}")).status_code == 403
    other = rest.replace("30", "31")
    assert (await strict.get(f"/image/r/{SIGNATURES.sign(rest)}{other}")).status_code == 403


async def test_urls_expire_and_are_not_kept_for_longer(strict, picture):
    path = f"/image/images/{picture.image_id}"
    past, soon = int(time.time()) - 5, int(time.time()) + 600
    expired = await strict.get(signed(path, f"w=30&expires={past}"))
    assert (expired.status_code, expired.json()["code"]) == (403, "url_expired")
    good = await strict.get(signed(path, f"w=30&expires={soon}"))
    assert good.status_code == 200
    age = int(good.headers["cache-control"].removeprefix("public, max-age="))
    assert 0 < age <= 600
    hidden = await strict.get(signed(path, f"w=30&%65xpires={past}"))
    assert hidden.json()["code"] == "url_expired"
    plain = await strict.get(signed(path, "w=30"))
    assert plain.headers["etag"] == good.headers["etag"]


async def test_presets(strict, picture):
    path = f"/image/images/{picture.image_id}"
    by_name = await strict.get(signed(path, "preset=thumb"))
    said = await strict.get(signed(path, "width=40&height=40&fit=cover"))
    assert opened(by_name.content).size == (40, 40)
    assert by_name.headers["etag"] == said.headers["etag"]
    unknown = await strict.get(signed(path, "preset=none"))
    assert (unknown.status_code, unknown.json()["allowed"]) == (400, "preset=thumb")


async def test_presets_alone(platform, picture):
    settings = Settings(workers=1, presets="thumb=width=40", presets_only=True)
    async with client(create_app(settings, platform.connect)) as http:
        path = f"/image/images/{picture.image_id}"
        assert (await http.get(f"{path}?preset=thumb")).status_code == 200
        assert (await http.get(f"{path}?width=40")).json()["code"] == "presets_only"
        assert (await http.get(f"{path}/srcset?widths=20")).json()["code"] == "presets_only"


async def test_srcset(http, picture):
    path = f"/image/images/{picture.image_id}/srcset"
    answer = (await http.get(f"{path}?widths=100,50,200,1000&format=webp&ar=1:1")).json()
    assert [each["width"] for each in answer["candidates"]] == [50, 100, 200, 400]
    assert answer["srcset"].count(" 50w") == 1
    for each in answer["candidates"]:
        response = await http.get(each["url"])
        assert opened(response.content).width <= each["width"]
        assert response.headers["content-type"] == "image/webp"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("widths=0", "invalid_parameter"),
        ("widths=a", "invalid_parameter"),
        ("widths=" + ",".join(["5"] * 40), "invalid_parameter"),
        ("widths=5&width=6", "conflicting_parameters"),
        ("widths=5&colour=6", "unknown_parameter"),
    ],
)
async def test_a_srcset_of_nonsense(http, picture, query, code):
    response = await http.get(f"/image/images/{picture.image_id}/srcset?{query}")
    assert (response.status_code, response.json()["code"]) == (400, code)


async def test_a_srcset_signs_for_those_alone_who_may_sign(strict, picture):
    path = f"/image/images/{picture.image_id}/srcset"
    assert (await strict.get(f"{path}?widths=50")).status_code == 403
    soon = int(time.time()) + 600
    answer = (await strict.get(signed(path, f"widths=50,100&q=50&expires={soon}"))).json()
    for each in answer["candidates"]:
        assert f"expires={soon}" in each["url"]
        assert (await strict.get(each["url"])).status_code == 200


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


async def stored(platform: MemoryPlatform) -> int:
    return sum([1 async for info in platform.bucket("renditions").watch(follow=False) if info])


async def test_a_file_is_transformed_and_not_kept(http, platform):
    before = await stored(platform)
    file = {"file": ("Füße.png", saved(quadrants()), "image/png")}
    response = await http.post("/image/transform?w=48&format=webp", files=file)
    assert response.status_code == 200
    assert opened(response.content).size == (48, 32)
    assert response.headers["content-type"] == "image/webp"
    assert response.headers["cache-control"] == "no-store"
    assert "Fu_e.webp" in response.headers["content-disposition"]
    assert await stored(platform) == before


async def test_the_parameters_may_be_fields_of_the_form(http):
    response = await http.post(
        "/image/transform",
        files={"image": ("a.png", saved(quadrants()), "image/png")},
        data={"width": "40", "grayscale": "true", "format": "png"},
    )
    red, green, blue = opened(response.content).convert("RGB").getpixel((5, 5))
    assert red == green == blue
    assert opened(response.content).size == (40, 27)


async def test_a_file_alone_comes_back_clean(http):
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "PRIVATE", 6
    data = saved(quadrants(), "JPEG", exif=exif)
    response = await http.post("/image/transform", files={"file": ("a.jpg", data, "image/jpeg")})
    assert opened(response.content).size == (64, 96)
    assert b"PRIVATE" not in response.content


@pytest.mark.parametrize(
    ("path", "files", "data", "status", "code"),
    [
        ("?w=0", {"file": b"x"}, {}, 400, "invalid_parameter"),
        ("?w=5", {"file": b"x"}, {"width": "5"}, 400, "repeated_parameter"),
        ("?w=5", {"file": b"no picture"}, {}, 422, "corrupt_pixels"),
        ("?w=5", {"file": b""}, {}, 422, "corrupt_pixels"),
        ("?redact=faces", {"file": saved(quadrants())}, {}, 422, "faces_unknown"),
        ("?preset=a", {"file": saved(quadrants())}, {}, 400, "unknown_preset"),
        (f"?watermark={NOBODY}", {"file": saved(quadrants())}, {}, 404, "unknown_image"),
        ("", {"other": b"x"}, {}, 400, "missing_file"),
        ("", {"file": b"x", "image": b"y"}, {}, 400, "too_many_files"),
        ("", {"file": b"x", "more": b"y"}, {}, 400, "unknown_field"),
    ],
)
async def test_files_that_cannot_be_transformed(http, path, files, data, status, code):
    response = await http.post(f"/image/transform{path}", files=files, data=data)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["cache-control"] == "no-store"


async def test_a_body_that_is_no_form(http):
    response = await http.post("/image/transform", content=b"x")
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")
    response = await http.post(
        "/image/transform",
        content=b"--x\r\nnonsense",
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    assert response.status_code == 400
    response = await http.post(
        "/image/transform", content=b"x", headers={"content-type": "multipart/form-data"}
    )
    assert response.status_code == 400
    bad = b'--x\r\ncontent-disposition: form-data; name="width"\r\n\r\n\xff\r\n--x--\r\n'
    response = await http.post(
        "/image/transform",
        content=bad,
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    assert (response.status_code, response.json()["code"]) == (400, "malformed_multipart")


async def test_a_file_that_is_too_large(strict):
    file = {"file": ("a.png", b"x" * 200_000, "image/png")}
    response = await strict.post(signed("/image/transform", "w=5"), files=file)
    assert response.status_code == 413
    assert (response.json()["limit"], response.json()["allowed"]) == (
        "MAX_TRANSFORM_BYTES",
        100_000,
    )


async def test_transforming_needs_a_signature_where_renditions_do(strict):
    file = {"file": ("a.png", saved(quadrants()), "image/png")}
    assert (await strict.post("/image/transform?w=5", files=file)).status_code == 403
    good = await strict.post(signed("/image/transform", "w=5"), files=file)
    assert good.status_code == 200
    smuggled = await strict.post(
        signed("/image/transform", "w=5"), files=file, data={"blur": "100"}
    )
    assert (smuggled.status_code, smuggled.json()["code"]) == (403, "signature_required")


async def test_the_schema_knows_every_parameter(http):
    schema = (await http.get("/image/schema/openapi.json")).json()
    said = schema["paths"]["/image/images/{image_id}"]["get"]["parameters"]
    names = {each["name"] for each in said}
    assert {"gravity", "redact", "blur", "watermark_tile", "max_bytes", "signature"} <= names
    assert "/image/transform" in schema["paths"]
    assert "/image/images/{image_id}/srcset" in schema["paths"]
    assert any(path.startswith("/image/r/") for path in schema["paths"])
