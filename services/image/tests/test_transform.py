from __future__ import annotations

import pytest
from imagesystem.memory import MemoryPlatform
from PIL import Image

from services.image.tests.samples import opened, quadrants, saved
from services.image.tests.signing import signed

NOBODY = "0198c0de-0000-8000-8000-000000000000"


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
        (f"?watermark={NOBODY}", {"file": saved(quadrants())}, {}, 422, "unknown_watermark"),
        ("", {"file": saved(quadrants())}, {"expires": "1"}, 400, "unknown_parameter"),
        ("", {"file": saved(quadrants())}, {"s": "x"}, 400, "unknown_parameter"),
        ("?expires=1", {"file": saved(quadrants())}, {}, 403, "url_expired"),
        ("", {"width": (None, b"5")}, {}, 400, "missing_file"),
        ("", {"other": b"x"}, {}, 400, "unknown_field"),
        ("", {"file": b"x"}, {f"p{number}": "1" for number in range(70)}, 413, "too_many_parts"),
        ("", {"file": b"x"}, {"text": "x" * 100_000}, 400, "invalid_parameter"),
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
    assert (response.status_code, response.json()["code"]) == (415, "not_a_form")
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


async def test_a_packed_body_is_not_unpacked(http):
    response = await http.post(
        "/image/transform",
        content=b"x",
        headers={"content-type": "multipart/form-data; boundary=x", "content-encoding": "gzip"},
    )
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_content_encoding")


async def test_fields_count_as_well_as_files(strict):
    fields = {"text": "x" * 300_000}
    file = {"file": ("a.png", saved(quadrants()), "image/png")}
    response = await strict.post("/image/transform", files=file, data=fields)
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


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
