"""Who may ask for what, and how it is said: paths, signatures, presets, srcset."""

from __future__ import annotations

import time

import pytest
from image_service.app import create_app
from image_service.settings import Settings
from imagesystem.testing import client

from services.image.tests.samples import opened
from services.image.tests.signing import SIGNATURES, signed

NOBODY = "0198c0de-0000-8000-8000-000000000000"


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
        ("unsafe/w:5/s:x/{id}", 400, "unknown_parameter"),
        ("unsafe/w:5/%73ignature:x/{id}", 400, "unknown_parameter"),
        ("/".join(["unsafe", *["w:5"] * 65, "{id}"]), 400, "too_many_parameters"),
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


async def test_the_schema_knows_every_parameter(http):
    schema = (await http.get("/image/schema/openapi.json")).json()
    said = schema["paths"]["/image/images/{image_id}"]["get"]["parameters"]
    names = {each["name"] for each in said}
    assert {"gravity", "redact", "blur", "watermark_tile", "max_bytes", "signature"} <= names
    assert "/image/transform" in schema["paths"]
    assert "/image/images/{image_id}/srcset" in schema["paths"]
    assert any(path.startswith("/image/r/") for path in schema["paths"])
