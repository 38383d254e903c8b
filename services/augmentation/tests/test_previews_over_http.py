from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import numpy as np
import pytest
from augmentation_service.app import create_app
from augmentation_service.settings import Settings
from imagesystem import ids
from imagesystem.bodies import DISCARD_BYTES
from imagesystem.memory import MemoryPlatform
from imagesystem.testing import client
from PIL import Image

Upload = Callable[..., Awaitable[str]]
Delete = Callable[..., Awaitable[None]]
Photo = Callable[..., bytes]

ROTATE = [{"operation": "rotate", "parameters": {"angle": 90, "canvas": "expand"}}]
RANDOM = [
    {"operation": "rotate", "parameters": {"angle": {"min": -30, "max": 30}}},
    {"operation": "gaussian_noise", "parameters": {"std": {"min": 5, "max": 20}}},
]
JSON = {"accept": "application/json"}
URL = "/augmentation/preview"


def opened(answer: httpx.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def receipt_of(answer: httpx.Response) -> dict[str, Any]:
    text = answer.headers["augmentation-receipt"]
    receipt: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return receipt


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem: dict[str, Any] = answer.json()
    return problem


async def of_file(http: httpx.AsyncClient, data: bytes, **fields: Any) -> httpx.Response:
    headers = fields.pop("headers", {})
    form = {"recipe": json.dumps(ROTATE)} | {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in fields.items()
    }
    return await http.post(URL, files={"file": ("a.png", data)}, data=form, headers=headers)


async def test_groups_policies_and_first_names_are_taken(
    http: httpx.AsyncClient, photo: Photo
) -> None:
    recipe = [
        {"one_of": [{"operation": "elastic", "parameters": {"strength": [1, 4]}},
                    {"operation": "perspective", "parameters": {"strength": 10}}]},
        {"policy": "rand_augment", "probability": 0.9},
        {"operation": "darken", "parameters": {"amount": 20}},
    ]  # fmt: skip
    answer = await of_file(http, photo(), recipe=recipe, headers=JSON)
    assert answer.status_code == 200
    steps = answer.json()["receipt"]["steps"]
    assert steps[0]["operation"] in ("elastic", "perspective")
    assert (steps[-1]["operation"], steps[-1]["parameters"]) == ("brightness", {"amount": -20.0})
    deep: Any = {"operation": "flip", "parameters": {"axis": "x"}}
    for _ in range(12):
        deep = {"sequence": [deep]}
    refused = await of_file(http, photo(), recipe=[deep])
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed_recipe")


async def test_a_variant_of_an_uploaded_image(
    http: httpx.AsyncClient, upload: Upload, photo: Photo
) -> None:
    data = photo()
    image_id = await upload(data)
    answer = await http.post(URL, json={"image_id": image_id, "recipe": ROTATE, "seed": 7})
    source = np.asarray(Image.open(io.BytesIO(data)))
    assert np.array_equal(opened(answer), np.rot90(source))
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()[:32]}"'
    receipt = receipt_of(answer)
    assert receipt["seed"] == 7
    assert receipt["source"] == hashlib.sha256(data).hexdigest()
    assert receipt["steps"][0]["parameters"]["angle"] == 90.0
    assert (receipt["width"], receipt["height"], receipt["channels"]) == (40, 60, 3)
    assert len(receipt["pixels"]) == 64
    assert {"opencv", "numpy", "pillow", "machine"} <= set(receipt["platform"])


async def test_a_file_that_is_sent_gives_the_same_as_the_image_with_these_bytes(
    http: httpx.AsyncClient, upload: Upload, photo: Photo
) -> None:
    data = photo(size=(50, 70))
    image_id = await upload(data)
    asked = {"recipe": RANDOM, "seed": 3, "variant": 2}
    by_id = await http.post(URL, json={"image_id": image_id, **asked})
    sent = await of_file(http, data, **asked)
    assert np.array_equal(opened(by_id), opened(sent))
    assert by_id.headers["etag"] == sent.headers["etag"]
    assert receipt_of(by_id) == receipt_of(sent)
    other = await of_file(http, data, **asked | {"variant": 3})
    assert not np.array_equal(opened(other), opened(sent))


async def test_the_field_may_be_called_image(http: httpx.AsyncClient, photo: Photo) -> None:
    answer = await http.post(
        URL, files={"image": ("a.png", photo())}, data={"recipe": json.dumps(ROTATE)}
    )
    assert opened(answer).shape == (60, 40, 3)


async def test_as_json_with_labels(http: httpx.AsyncClient, photo: Photo) -> None:
    box = {"x_min": 10, "y_min": 5, "x_max": 30, "y_max": 15, "label": "cat"}
    gone = {"x_min": 100, "y_min": 100, "x_max": 110, "y_max": 110}
    answer = await of_file(
        http,
        photo(),
        boxes=[gone, box],
        keypoints=[{"x": 60, "y": 0, "label": "ear"}],
        headers=JSON,
    )
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["labels"]["boxes"] == [
        {
            "index": 1,
            "x_min": 5.0,
            "y_min": 30.0,
            "x_max": 15.0,
            "y_max": 50.0,
            "visibility": 1.0,
            "label": "cat",
            "picture": 0,
            "weight": 1.0,
        }
    ]
    assert body["labels"]["keypoints"] == [
        {
            "index": 0,
            "x": 0.0,
            "y": 0.0,
            "visible": True,
            "label": "ear",
            "picture": 0,
            "weight": 1.0,
        }
    ]
    image = body["image"]
    data = base64.b64decode(image["data"])
    assert (image["width"], image["height"], image["size_bytes"]) == (40, 60, len(data))
    assert image["sha256"] == hashlib.sha256(data).hexdigest()
    assert np.asarray(Image.open(io.BytesIO(data))).shape == (60, 40, 3)
    assert body["receipt"]["steps"][0]["operation"] == "rotate"
    without = (await of_file(http, photo(), headers=JSON)).json()
    assert without["labels"] is None


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "image/png"),
        ("image/*", "image/png"),
        ("application/json", "application/json"),
        ("image/png;q=0.5, application/json", "application/json"),
        ("text/html", "image/png"),
        (";;;,,", "image/png"),
    ],
)
async def test_accept_chooses(
    http: httpx.AsyncClient, photo: Photo, accept: str, kind: str
) -> None:
    answer = await of_file(http, photo(), headers={"accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert "accept" in answer.headers["vary"].lower()


@pytest.mark.parametrize(
    ("fields", "form"),
    [
        ({}, "PNG"),
        ({"format": "png"}, "PNG"),
        ({"format": "jpeg"}, "JPEG"),
        ({"format": "jpeg", "quality": "30"}, "JPEG"),
        ({"format": "webp"}, "WEBP"),
    ],
)
async def test_formats(
    http: httpx.AsyncClient, photo: Photo, fields: dict[str, str], form: str
) -> None:
    answer = await of_file(http, photo(), **fields)
    image = Image.open(io.BytesIO(answer.content))
    assert (image.format, image.size) == (form, (40, 60))
    assert answer.headers["content-type"] == f"image/{form.lower()}"


async def test_an_empty_recipe_is_the_picture(http: httpx.AsyncClient, photo: Photo) -> None:
    data = photo()
    answer = await of_file(http, data, recipe=[])
    assert np.array_equal(opened(answer), np.asarray(Image.open(io.BytesIO(data))))


RECIPES: list[tuple[Any, str, str | None, object, object]] = [
    ({}, "malformed_recipe", "recipe", None, None),
    ([{"operation": "spin"}], "unknown_operation", "recipe[0].operation", ..., "'spin'"),
    (
        [{"operation": "rotate", "parameters": {"angle": 400}}],
        "parameter_out_of_range",
        "recipe[0].parameters.angle",
        "-360 to 360",
        "400",
    ),
    (
        [{"operation": "rotate", "parameters": {}}],
        "missing_parameter",
        "recipe[0].parameters.angle",
        "-360 to 360",
        None,
    ),
    (ROTATE * 9, "too_many_steps", "MAX_STEPS", 8, 9),
]


@pytest.mark.parametrize(("recipe", "code", "limit", "allowed", "actual"), RECIPES)
@pytest.mark.parametrize("way", ["json", "form"])
async def test_recipes_that_cannot_be_carried_out(
    http: httpx.AsyncClient,
    upload: Upload,
    photo: Photo,
    recipe: Any,
    code: str,
    limit: str | None,
    allowed: object,
    actual: object,
    way: str,
) -> None:
    if way == "json":
        image_id = await upload(photo())
        answer = await http.post(URL, json={"image_id": image_id, "recipe": recipe})
    else:
        answer = await of_file(http, photo(), recipe=recipe)
    problem = refused(answer, 400, code)
    assert problem.get("limit") == limit
    assert allowed is ... or problem.get("allowed") == allowed
    assert problem.get("actual") == actual


async def test_an_unknown_operation_is_answered_with_the_known_ones(
    http: httpx.AsyncClient, photo: Photo
) -> None:
    answer = await of_file(http, photo(), recipe=[{"operation": "rotat"}])
    problem = refused(answer, 400, "unknown_operation")
    assert "did you mean rotate" in problem["detail"]
    assert "gaussian_blur" in problem["allowed"]


UNKNOWN = ids.image_id(b"nobody uploaded this")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_request"),
        (b"{", 400, "invalid_request"),
        (b"[]", 400, "invalid_request"),
        (b"null", 400, "invalid_request"),
        (b"\xff\xfe", 400, "invalid_request"),
        (b"[" * 200_000, 400, "invalid_request"),
        (b'{"recipe": ' + b"[" * 900 + b"]" * 900 + b"}", 400, "invalid_request"),
        (b'{"image_id": "x"}', 400, "invalid_request"),
        (b'{"image_id": "x", "recipe": []}', 400, "malformed_image_id"),
        (b'{"image_id": "../../etc/passwd", "recipe": []}', 400, "malformed_image_id"),
        (b'{"image_id": "' + UNKNOWN.encode() + b'", "recipe": []}', 404, "unknown_image"),
        (b'{"image_id": "x", "recipe": [], "seed": -1}', 400, "invalid_request"),
        (b'{"image_id": "x", "recipe": [], "seed": 9007199254740992}', 400, "invalid_request"),
        (b'{"image_id": "x", "recipe": [], "seed": "1"}', 400, "invalid_request"),
        (b'{"image_id": "x", "recipe": [], "format": "gif"}', 400, "invalid_request"),
        (b'{"image_id": "x", "recipe": [], "quality": 0}', 400, "invalid_request"),
        (b'{"image_id": "x", "recipe": [], "more": 0}', 400, "invalid_request"),
        (b'{"image_id": "x", "recipe": [], "boxes": [[1, 2, 3, 4]]}', 400, "invalid_request"),
        (b'{"image_id": "x", "recipe": [], "keypoints": [{"x": 1e9, "y": 0}]}', 400,
         "invalid_request"),
        (b" " * 1_100_000, 413, "body_too_large"),
    ],
)  # fmt: skip
async def test_bad_json(http: httpx.AsyncClient, body: bytes, status: int, code: str) -> None:
    answer = await http.post(URL, content=body, headers={"content-type": "application/json"})
    refused(answer, status, code)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"recipe": "not json"}, "invalid_request"),
        ({"recipe": "[" * 100_000}, "invalid_request"),
        ({"seed": "abc"}, "invalid_request"),
        ({"seed": "1.5"}, "invalid_request"),
        ({"variant": "-1"}, "invalid_request"),
        ({"format": "bmp"}, "invalid_request"),
        ({"quality": "101"}, "invalid_request"),
        ({"boxes": "{}"}, "invalid_request"),
        ({"image_id": UNKNOWN}, "invalid_request"),
        ({"boxes": [{"x_min": 9, "y_min": 0, "x_max": 1, "y_max": 1}]}, "invalid_labels"),
    ],
)
async def test_bad_fields(
    http: httpx.AsyncClient, photo: Photo, fields: dict[str, Any], code: str
) -> None:
    refused(await of_file(http, photo(), **fields), 400, code)


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
    return b"\r\n".join([b"--B", f"Content-Disposition: {disposition}".encode(), b"", content, b""])


RECIPE_PART = part("recipe", b"[]")
FORM = {"content-type": "multipart/form-data; boundary=B"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed_multipart"),
        (b"nothing of the kind", 400, "malformed_multipart"),
        (RECIPE_PART + b"--B--", 400, "missing_file"),
        (RECIPE_PART, 400, "malformed_multipart"),
        (part("file", b"xyz", "a"), 400, "malformed_multipart"),
        (part("file", b"xyz", "a") + b"--B--", 400, "invalid_request"),
        (part("file", b"x", "a") + part("file", b"x", "b") + b"--B--", 400, "repeated_field"),
        (part("file", b"x", "a") + part("image", b"x", "b") + b"--B--", 400, "repeated_field"),
        (RECIPE_PART * 2 + b"--B--", 400, "repeated_field"),
        (part("recipe", b"\xff\xfe") + part("file", b"x", "a") + b"--B--", 400,
         "malformed_multipart"),
        (b"".join(part(f"f{i}", b"") for i in range(50)) + b"--B--", 413, "too_many_parts"),
        (RECIPE_PART + part("file", b"", "a") + b"--B--", 422, "empty_file"),
        (RECIPE_PART + part("file", b"hello, world", "a.jpg") + b"--B--", 415,
         "unsupported_media_type"),
        (RECIPE_PART + part("file", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a.svg")
         + b"--B--", 415, "unsupported_media_type"),
        (RECIPE_PART + part("file", b"\xff\xd8\xff\xe0 and no more", "a.jpg") + b"--B--", 422,
         "corrupt_pixels"),
        (part("file", b"\0" * 300_001, "a") + b"--B--", 413, "body_too_large"),
        (part("recipe", b" " * 1_100_000) + b"--B--", 413, "body_too_large"),
    ],
)  # fmt: skip
async def test_bad_forms(http: httpx.AsyncClient, body: bytes, status: int, code: str) -> None:
    refused(await http.post(URL, content=body, headers=FORM), status, code)


@pytest.mark.parametrize(
    "filename", ["", "a" * 10_000, 'quotes ";\\', "ünïcödé.png", "../../etc/passwd"]
)
async def test_filenames_do_not_matter(
    http: httpx.AsyncClient, photo: Photo, filename: str
) -> None:
    answer = await http.post(
        URL, files={"file": (filename, photo())}, data={"recipe": json.dumps(ROTATE)}
    )
    assert answer.status_code == 200, answer.text


async def test_a_filename_that_is_no_text(http: httpx.AsyncClient, photo: Photo) -> None:
    body = (
        part("file", photo(), "F").replace(b'"F"', b'"\xff\xfe\x80.png"') + RECIPE_PART + b"--B--"
    )
    answer = await http.post(URL, content=body, headers=FORM)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 415, "unsupported_media_type"),
        ({"content-type": "text/plain"}, 415, "unsupported_media_type"),
        ({"content-type": "multipart/form-data"}, 400, "malformed_multipart"),
        ({"content-type": "multipart/form-data; boundary="}, 400, "malformed_multipart"),
        ({**FORM, "content-encoding": "gzip"}, 415, "unsupported_content_encoding"),
        ({"content-type": "application/json", "content-encoding": "br"}, 415,
         "unsupported_content_encoding"),
        ({**FORM, "content-length": "99999999"}, 413, "body_too_large"),
    ],
)  # fmt: skip
async def test_bad_headers(
    http: httpx.AsyncClient, headers: dict[str, str], status: int, code: str
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"{}"

    problem = refused(await http.post(URL, content=body(), headers=headers), status, code)
    if status == 413:
        assert (problem["limit"], problem["allowed"]) == ("MAX_UPLOAD_BYTES", 300_000)


async def test_too_much_without_a_length_is_refused_on_the_way(http: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield part("file", b"", "a")[:-2]
        while True:
            sent += 65_536
            yield b"\0" * 65_536

    problem = refused(await http.post(URL, content=endless(), headers=FORM), 413, "body_too_large")
    assert (problem["limit"], problem["allowed"]) == ("MAX_UPLOAD_BYTES", 300_000)
    assert sent < DISCARD_BYTES + 1_000_000, "the rest comes and goes, but not for ever"


async def test_a_client_that_leaves_in_the_middle(http: httpx.AsyncClient) -> None:
    messages = [
        {"type": "http.request", "body": part("file", b"half", "a"), "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": URL,
        "raw_path": URL.encode(),
        "query_string": b"",
        "headers": [(b"content-type", b"multipart/form-data; boundary=B")],
        "server": ("test", 80),
        "client": ("test", 1),
        "scheme": "http",
        "http_version": "1.1",
    }
    transport: Any = http._transport
    await transport.app(scope, receive, send)
    assert sent[0]["status"] == 400
    assert b"incomplete_body" in sent[1]["body"]


async def test_a_client_that_stops_in_the_middle(photo: Photo) -> None:
    settings = Settings(workers=1, idle_timeout_s=0.05)

    async def stopping() -> AsyncIterator[bytes]:
        yield part("file", b"half", "a")[:-2]
        await asyncio.sleep(60)

    async with client(create_app(settings, MemoryPlatform().connect)) as http:
        answer = await http.post(URL, content=stopping(), headers=FORM)
        problem = refused(answer, 408, "body_timeout")
        assert problem["limit"] == "IDLE_TIMEOUT_S"
        assert (await of_file(http, photo())).status_code == 200


async def test_wrong_methods_and_stray_parameters(http: httpx.AsyncClient) -> None:
    refused(await http.get(URL), 405, "method_not_allowed")
    refused(await http.post(URL + "?seed=5", json={}), 400, "unknown_parameter")
    refused(await http.get("/augmentation/operations?x=1"), 400, "unknown_parameter")


async def test_pictures_and_canvases_that_are_too_large(
    http: httpx.AsyncClient, photo: Photo
) -> None:
    # 700 x 300 pixels compress well; MAX_PIXELS is 200 000 here
    large = photo("PNG", (700, 300))
    problem = refused(await of_file(http, large), 422, "too_many_pixels")
    assert (problem["limit"], problem["allowed"], problem["actual"]) == (
        "MAX_PIXELS",
        200_000,
        210_000,
    )
    growing = [{"operation": "rotate", "parameters": {"angle": 45, "canvas": "expand"}}] * 8
    problem = refused(await of_file(http, photo(), recipe=growing), 400, "output_too_large")
    assert (problem["limit"], problem["allowed"]) == ("MAX_PIXELS", 200_000)
    assert problem["actual"] > 200_000


async def test_sides_that_a_format_cannot_hold(http: httpx.AsyncClient, photo: Photo) -> None:
    long = photo("PNG", (17_000, 2))
    assert (await of_file(http, long)).status_code == 200
    problem = refused(await of_file(http, long, format="webp"), 400, "output_too_large")
    assert (problem["limit"], problem["allowed"], problem["actual"]) == ("side", 16_383, 17_000)


async def test_deleted_images(
    http: httpx.AsyncClient, upload: Upload, delete: Delete, photo: Photo
) -> None:
    image_id = await upload(photo(size=(11, 13)))
    asked = {"image_id": image_id, "recipe": ROTATE}
    assert (await http.post(URL, json=asked)).status_code == 200
    await delete(image_id, purge=False)
    refused(await http.post(URL, json=asked), 410, "image_deleted")
    await delete(image_id)
    refused(await http.post(URL, json=asked), 410, "image_deleted")


async def test_bytes_that_are_missing(
    http: httpx.AsyncClient, upload: Upload, photo: Photo, platform: MemoryPlatform
) -> None:
    image_id = await upload(photo(size=(15, 13)))
    info = await platform.bucket("originals").info(image_id)
    assert info is not None
    await platform.bucket("originals").delete(info)
    answer = await http.post(URL, json={"image_id": image_id, "recipe": ROTATE})
    refused(answer, 404, "object_missing")


async def test_a_store_that_is_down(
    http: httpx.AsyncClient, upload: Upload, photo: Photo, platform: MemoryPlatform
) -> None:
    image_id = await upload(photo(size=(16, 13)))
    platform.bucket("originals").down = True
    answer = await http.post(URL, json={"image_id": image_id, "recipe": ROTATE})
    platform.bucket("originals").down = False
    refused(answer, 503, "unavailable")
    assert answer.headers["retry-after"]


async def test_many_at_once(http: httpx.AsyncClient, photo: Photo) -> None:
    answers = await asyncio.gather(
        *(of_file(http, photo(), recipe=RANDOM, variant=number) for number in range(12))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["etag"] for answer in answers}) == 12
