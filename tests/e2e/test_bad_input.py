"""Bad input through the one port: each gets its 4xx problem with a code, in the right order."""

from __future__ import annotations

import asyncio
import io
import json
import zlib
from collections.abc import AsyncIterator
from urllib.parse import quote, urlsplit

import httpx
import pytest
from imagesystem import ids
from PIL import Image

from tests.pictures import picture, png
from tests.system import System

pytestmark = pytest.mark.e2e

MIB = 1024 * 1024


def animated_gif(frames: int) -> bytes:
    file = io.BytesIO()
    pages = [Image.new("P", (2, 2), number % 250) for number in range(frames)]
    pages[0].save(file, "GIF", save_all=True, append_images=pages[1:], optimize=False)
    return file.getvalue()


def huge_png() -> bytes:
    return png(50_000, 50_000, zlib.compress(b""))


BAD: dict[str, tuple[bytes, int, set[str]]] = {
    "empty": (b"", 422, {"empty_file"}),
    "text": (b"hello, I am a picture", 415, {"unsupported_media_type"}),
    "svg": (
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        415,
        {"unsupported_media_type"},
    ),
    "huge header": (huge_png(), 422, {"too_many_pixels"}),
    "too many frames": (animated_gif(2500), 422, {"too_many_frames"}),
    **{
        f"{form} cut by {cut}": (
            picture(1, form)[: -cut or None],
            422,
            {"truncated_image", "corrupt_image"},
        )
        for form in ("JPEG", "PNG", "WEBP")
        for cut in (1, 100)
    },
}


def assert_problem(answer: httpx.Response, status: int, codes: set[str]) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem = answer.json()
    assert problem["code"] in codes, problem
    assert problem["detail"]


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("way", ["multipart", "raw"])
async def test_what_is_no_whole_picture_is_refused(
    http: httpx.AsyncClient, name: str, way: str
) -> None:
    data, status, codes = BAD[name]
    if way == "multipart":
        answer = await http.post("/registry/upload", files={"file": ("innocent.jpg", data)})
    else:
        answer = await http.put("/registry/upload?filename=innocent.jpg", content=data)
    assert_problem(answer, status, codes)


@pytest.mark.parametrize("length", ["declared", "chunked"])
@pytest.mark.parametrize("way", ["multipart", "raw"])
async def test_sixty_mebibytes_are_too_many(http: httpx.AsyncClient, length: str, way: str) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'

    async def body() -> AsyncIterator[bytes]:
        if way == "multipart":
            yield head
        for _ in range(60):
            yield bytes(MIB)

    headers = {"content-type": "multipart/form-data; boundary=b"} if way == "multipart" else {}
    if length == "declared":
        headers["content-length"] = str(60 * MIB + (len(head) if way == "multipart" else 0))
    method = "POST" if way == "multipart" else "PUT"
    answer = await http.request(method, "/registry/upload", content=body(), headers=headers)
    assert_problem(answer, 413, {"body_too_large"})
    assert answer.json()["allowed"] == 50 * MIB


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ([], "missing_file"),
        ([("other", ("x.png", picture(2, "PNG")))], "unknown_field"),
        ([("file", ("a.png", picture(2, "PNG"))), ("image", ("b.png", picture(3, "PNG")))],
         "too_many_files"),
    ],
)  # fmt: skip
async def test_one_picture_a_request(
    http: httpx.AsyncClient, fields: list[tuple[str, tuple[str, bytes]]], code: str
) -> None:
    answer = await http.post(
        "/registry/upload",
        files=fields or [("tags", (None, b"x"))],  # type: ignore[arg-type]
    )
    assert_problem(answer, 400, {code})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/registry/upload"),
        ("DELETE", "/metadata/images/list"),
        ("POST", "/image/images/{id}"),
        ("PUT", "/augmentation/preview"),
    ],
)
async def test_wrong_methods(http: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await http.request(method, path.replace("{id}", ids.image_id(b"unknown")))
    assert_problem(answer, 405, {"method_not_allowed"})


ID_PATHS = ("/image/images/{id}", "/metadata/images/{id}", "/registry/images/{id}")


@pytest.mark.parametrize("path", ID_PATHS)
async def test_unknown_and_malformed_ids(http: httpx.AsyncClient, path: str) -> None:
    method = "DELETE" if path.startswith("/registry") else "GET"
    unknown = path.replace("{id}", ids.image_id(b"nobody has uploaded this"))
    assert_problem(await http.request(method, unknown), 404, {"unknown_image"})
    for bad in ("nonsense", "*", ">", "a" * 3000, "%00", quote("'; drop table", safe="")):
        answer = await http.request(method, path.replace("{id}", bad))
        assert_problem(answer, 400, {"malformed_image_id"})


@pytest.mark.parametrize("path", ["/image/images/..%2f..%2fetc%2fpasswd", "/image/..%2f..%2fx"])
async def test_paths_lead_nowhere_else(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert answer.status_code in (400, 404)
    assert b"root:" not in answer.content


@pytest.mark.parametrize(
    "value", ["bytes=", "bytes=a-b", "bytes=5-2", "lines=1-2", "bytes=0-1,3-4"]
)
async def test_ranges_that_make_no_sense(
    system: System, http: httpx.AsyncClient, value: str
) -> None:
    data = picture(31)
    await http.put("/registry/upload?filename=r.jpg", content=data)
    answer = await http.get(f"/image/images/{ids.image_id(data)}", headers={"range": value})
    # RFC 9110 lets a server ignore a Range it does not understand; it must not break on one.
    assert answer.status_code in (200, 400, 416), answer.text
    if answer.status_code == 200:
        assert answer.content == data
    else:
        assert_problem(
            answer,
            answer.status_code,
            {"malformed_range", "multiple_ranges", "range_not_satisfiable"},
        )
    beyond = await http.get(
        f"/image/images/{ids.image_id(data)}", headers={"range": f"bytes={len(data)}-"}
    )
    assert_problem(beyond, 416, {"range_not_satisfiable"})
    assert beyond.headers["content-range"] == f"bytes */{len(data)}"


FILENAMES = {
    'with "quotes"; and; semicolons.jpg': "quotes",
    "../../etc/passwd.jpg": "passwd.jpg",
    "Füße 图片 🐈.jpg": "🐈",
    "x" * 10_000 + ".jpg": ".jpg",
    "new\r\nline.jpg": "line.jpg",
}


@pytest.mark.parametrize("filename", FILENAMES, ids=range(len(FILENAMES)))
async def test_strange_filenames_are_kept_harmless(http: httpx.AsyncClient, filename: str) -> None:
    data = picture(40_000 + len(filename))
    answer = await http.put("/registry/upload", params={"filename": filename[:7000]}, content=data)
    if answer.status_code == 400:  # one that nobody means can be refused
        assert_problem(answer, 400, {"malformed_filename", "filename_too_long"})
        return
    assert answer.status_code in (200, 201), answer.text
    name = answer.json()["filename"]
    assert len(name.encode()) <= 255
    assert not set(name) & set("/\\\r\n\0")
    served = await http.get(f"/image/images/{ids.image_id(data)}")
    disposition = served.headers["content-disposition"]
    assert disposition.startswith("inline")
    assert "\n" not in disposition


async def test_a_filename_that_is_not_utf8(system: System, http: httpx.AsyncClient) -> None:
    data = picture(41_000)
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="caf\xe9.jpg"\r\n\r\n'
        + data
        + b"\r\n--b--\r\n"
    )
    answer = await http.post(
        "/registry/upload",
        content=body,
        headers={"content-type": "multipart/form-data; boundary=b"},
    )
    assert answer.status_code in (200, 201), answer.text
    json.dumps(answer.json()["filename"]).encode()
    assert (await http.get(f"/image/images/{ids.image_id(data)}")).content == data


async def test_a_client_that_stops_in_the_middle_leaves_nothing(
    system: System, http: httpx.AsyncClient
) -> None:
    data = picture(42_000, "PNG", (400, 400))
    where = urlsplit(system.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(
        b"PUT /registry/upload?filename=half.png HTTP/1.1\r\nHost: x\r\n"
        + f"Content-Length: {len(data)}\r\n\r\n".encode()
        + data[: len(data) // 2]
    )
    await writer.drain()
    writer.transport.abort()
    del reader
    unknown = await http.get(f"/metadata/images/{ids.image_id(data)}")
    assert_problem(unknown, 404, {"unknown_image"})
    assert (await http.put("/registry/upload?filename=whole.png", content=data)).status_code == 201
    await system.ready(http, ids.image_id(data))
