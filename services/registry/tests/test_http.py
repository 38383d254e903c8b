"""What clients get: answers, and a problem with a code for everything that is wrong."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from imagesystem import ids
from imagesystem.memory import MemoryPlatform
from imagesystem.testing import client
from registry_service.app import create_app
from registry_service.settings import Settings

Samples = dict[str, bytes]
LIMITS = {
    "max_upload_bytes": 100_000,
    "max_frames": 2,
    "max_batch_files": 4,
    "max_batch_bytes": 300_000,
}


@pytest.fixture
def platform() -> MemoryPlatform:
    return MemoryPlatform()


@pytest.fixture
async def http(platform: MemoryPlatform) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(**LIMITS)  # type: ignore[arg-type]
    async with client(create_app(settings, platform.connect)) as http:
        yield http


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    document: dict[str, Any] = answer.json()
    assert (document["status"], document["code"]) == (status, code)
    assert document["request_id"] == answer.headers["x-request-id"]
    return document


async def nothing_stored(platform: MemoryPlatform) -> None:
    assert platform.bus.log == {}
    assert platform.bucket("originals").used_bytes == 0


async def chunked(data: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    for n in range(0, len(data), size):
        yield data[n : n + size]


async def test_upload_as_a_form(
    http: httpx.AsyncClient, platform: MemoryPlatform, samples: Samples
) -> None:
    data = samples["jpeg-exif"]
    image_id = ids.image_id(data)
    answer = await http.post(
        "/registry/upload",
        files=[("file", ("My Photo.jpg", data)), ("tags", (None, "a, b")), ("tags", (None, "c"))],
    )
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/metadata/images/{image_id}"
    document = answer.json()
    assert document["exif"]["orientation"] == 6
    assert document["exif"]["gps"]["latitude"] == pytest.approx(-33.8583, abs=1e-3)
    del document["exif"], document["uploaded_at"]
    assert document == {
        "id": image_id,
        "duplicate": False,
        "filename": "My Photo.jpg",
        "media_type": "image/jpeg",
        "size_bytes": len(data),
        "width": 61,
        "height": 43,
        "frames": 1,
        "sha256": document["sha256"],
        "tags": ["a", "b", "c"],
        "owner": "public",
        "links": {
            "image": f"/image/images/{image_id}",
            "metadata": f"/metadata/images/{image_id}",
        },
    }
    assert (await platform.bucket("originals").get(image_id))[1] == data


async def test_known_pictures_are_answered_200(http: httpx.AsyncClient, samples: Samples) -> None:
    data = samples["png"]
    first = await http.post("/registry/upload", files={"image": ("a.png", data)})
    again = await http.put("/registry/upload?filename=b.png&tags=x", content=data)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["location"] == first.headers["location"]
    assert again.json() == first.json() | {"duplicate": True}


async def test_every_format_by_both_ways(
    http: httpx.AsyncClient, sample: tuple[str, bytes]
) -> None:
    name, data = sample
    if "animated" in name or name in ("apng", "tiff-pages"):
        answer = await http.put("/registry/upload", content=data)
        found = problem(answer, 422, "too_many_frames")
        assert (found["limit"], found["allowed"], found["actual"]) == ("MAX_FRAMES", 2, 3)
        return
    raw = await http.put("/registry/upload", content=chunked(data, 700))
    form = await http.post("/registry/upload", files={"file": ("lie.txt", data, "text/plain")})
    assert (raw.status_code, form.status_code) == (201, 200)
    assert raw.json()["filename"] == "upload"
    assert raw.json()["media_type"].startswith("image/")


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "empty_file"),
        (b"this is a text named .jpg", 415, "unsupported_media_type"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "unsupported_media_type"),
    ],
)
async def test_what_is_no_picture(
    http: httpx.AsyncClient, platform: MemoryPlatform, content: bytes, status: int, code: str
) -> None:
    problem(
        await http.post("/registry/upload", files={"file": ("a.jpg", content, "image/jpeg")}),
        status,
        code,
    )
    problem(await http.put("/registry/upload?filename=a.jpg", content=content), status, code)
    await nothing_stored(platform)


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "avif", "gif", "bmp", "tiff"])
@pytest.mark.parametrize("cut", [1, 2, 100])
async def test_truncated_pictures(
    http: httpx.AsyncClient, platform: MemoryPlatform, samples: Samples, name: str, cut: int
) -> None:
    answer = await http.post("/registry/upload", files={"file": ("a", samples[name][:-cut])})
    problem(answer, 422, "truncated_image")
    await nothing_stored(platform)


async def test_a_huge_header_is_refused_before_the_rest(
    http: httpx.AsyncClient, platform: MemoryPlatform
) -> None:
    side = (50_000).to_bytes(4, "big")
    header = b"IHDR" + side + side + b"\x08\x02\0\0\0"
    data = b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + header + zlib.crc32(header).to_bytes(4, "big")
    found = problem(await http.put("/registry/upload", content=data), 422, "too_many_pixels")
    assert (found["limit"], found["allowed"]) == ("MAX_PIXELS", 100_000_000)
    assert found["actual"] == 2_500_000_000
    await nothing_stored(platform)


async def test_too_large_is_told_by_the_header_or_by_counting(
    http: httpx.AsyncClient, platform: MemoryPlatform
) -> None:
    data = bytes(LIMITS["max_upload_bytes"] + 1)
    for answer in (
        await http.put("/registry/upload", content=data),
        await http.put("/registry/upload", content=chunked(data)),
        await http.post("/registry/upload", files={"file": ("a.jpg", data)}),
        await http.post("/registry/upload", files={"file": ("a.jpg", data * 20)}),
        await http.post("/registry/upload", **form_in_pieces(data * 20)),
    ):
        found = problem(answer, 413, "body_too_large")
        assert (found["limit"], found["allowed"]) == ("MAX_UPLOAD_BYTES", 100_000)
        assert found["actual"] > 100_000
    await nothing_stored(platform)


def form_in_pieces(data: bytes, name: bytes = b"file") -> dict[str, Any]:
    """A form without a Content-Length."""
    form = (
        b'--b\r\ncontent-disposition: form-data; name="' + name + b'"; filename="a"\r\n\r\n'
    ) + data
    headers = {"content-type": "multipart/form-data; boundary=b"}
    return {"content": chunked(form + b"\r\n--b--"), "headers": headers}


async def test_exactly_as_large_as_allowed(http: httpx.AsyncClient, samples: Samples) -> None:
    data = samples["jpeg"]
    data += bytes(LIMITS["max_upload_bytes"] - len(data))
    assert (await http.put("/registry/upload", content=data)).status_code == 201
    answer = await http.post("/registry/upload", files={"file": ("a.jpg", data)})
    assert answer.status_code == 200


async def test_forms_that_are_none(
    http: httpx.AsyncClient, platform: MemoryPlatform, samples: Samples
) -> None:
    png = ("a.png", samples["png"])
    post, upload = http.post, "/registry/upload"
    tags = [("tags", (None, "x"))]
    problem(await post(upload, files=tags), 400, "missing_file")
    problem(await post(upload, files=[("file", png)] * 2), 400, "too_many_files")
    problem(await post(upload, files=[("file", png), ("image", png)]), 400, "too_many_files")
    problem(await post(upload, files=[("photo", png)]), 400, "unknown_field")
    problem(await post(upload, files=[("file", png), ("x", (None, "y"))]), 400, "unknown_field")
    problem(await post(upload, files=[("file", png)] + tags * 500), 413, "too_many_parts")
    long = [("tags", (None, "x" * 80_000))]
    problem(await post(upload, files=[("file", png), *long]), 413, "body_too_large")
    bad = [("tags", (None, "x" * 200))]
    problem(await post(upload, files=[("file", png), *bad]), 400, "invalid_tag")
    problem(await post(upload, content=samples["png"]), 415, "not_a_form")
    problem(await post(upload, json={"file": "x"}), 415, "not_a_form")
    headers = {"content-type": "multipart/form-data; boundary=b"}
    for body in (b"", b"junk", b"--b\r\n", b'--b\r\ncontent-disposition: x; name="file"\r\n\r\nx'):
        answer = await post(upload, content=body, headers=headers)
        problem(answer, 400, "malformed_multipart")
    packed = {"content-encoding": "gzip"}
    answer = await http.put(upload, content=b"x", headers=packed)
    problem(answer, 415, "unsupported_content_encoding")
    await nothing_stored(platform)


async def test_methods_and_parameters_that_do_not_exist(http: httpx.AsyncClient) -> None:
    problem(await http.get("/registry/upload"), 405, "method_not_allowed")
    problem(await http.delete("/registry/upload"), 405, "method_not_allowed")
    problem(await http.get("/registry/images/x"), 405, "method_not_allowed")
    problem(await http.post("/registry/nothing"), 404, "not_found")
    problem(await http.put("/registry/upload?tag=x", content=b"x"), 400, "unknown_parameter")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../../etc/passwd", "passwd"),
        ('say "cheese"; or not.jpg', 'say "cheese"; or not.jpg'),
        ("x" * 10_000 + ".jpeg", "x" * 250 + ".jpeg"),
        ("日本.png", "日本.png"),
        ("", "upload"),
    ],
)
async def test_filenames(http: httpx.AsyncClient, samples: Samples, sent: str, kept: str) -> None:
    answer = await http.post("/registry/upload", files={"file": (sent, samples["png"])})
    assert (answer.status_code, answer.json()["filename"]) == (201, kept)
    params = {"filename": sent}
    answer = await http.put("/registry/upload", content=samples["gif"], params=params)
    assert (answer.status_code, answer.json()["filename"]) == (201, kept)


async def test_filenames_that_are_no_utf8(http: httpx.AsyncClient, samples: Samples) -> None:
    answer = await http.put("/registry/upload?filename=%ff%fe%E9.jpg", content=samples["gif"])
    assert answer.status_code == 201
    assert answer.json()["filename"].endswith(".jpg")
    data = b'--b\r\nContent-Disposition: form-data; name=file; filename="\xe9\x00.jpg"\r\n\r\n'
    answer = await http.post(
        "/registry/upload",
        content=data + samples["png"] + b"\r\n--b--\r\n",
        headers={"content-type": "multipart/form-data; boundary=b"},
    )
    assert (answer.status_code, answer.json()["filename"]) == (201, "é .jpg")


async def test_a_batch_has_one_result_for_each_file(
    http: httpx.AsyncClient, platform: MemoryPlatform, samples: Samples
) -> None:
    await http.put("/registry/upload?filename=known.gif", content=samples["gif"])
    files = [
        ("file", ("new.png", samples["png"])),
        ("file", ("again.gif", samples["gif"])),
        ("image", ("cut.jpg", samples["jpeg"][:-1])),
        ("file", ("large.bin", bytes(120_000))),
        ("tags", (None, "trip")),
    ]
    answer = await http.post("/registry/batch", files=files)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert (document["accepted"], document["duplicates"], document["rejected"]) == (1, 1, 2)
    new, again, cut, large = document["results"]
    assert (new["filename"], new["status"], new["image"]["tags"]) == ("new.png", 201, ["trip"])
    assert (again["status"], again["image"]["filename"]) == (200, "known.gif")
    assert (cut["status"], cut["problem"]["code"]) == (422, "truncated_image")
    assert (large["status"], large["problem"]["code"]) == (413, "body_too_large")
    assert large["problem"]["limit"] == "MAX_UPLOAD_BYTES"
    assert len(platform.bus.log) == 2


async def test_batches_that_are_refused_as_a_whole(
    http: httpx.AsyncClient, platform: MemoryPlatform, samples: Samples
) -> None:
    png = ("file", ("a.png", samples["png"]))
    problem(await http.post("/registry/batch", files={"tags": (None, "x")}), 400, "missing_file")
    found = problem(await http.post("/registry/batch", files=[png] * 5), 413, "too_many_files")
    assert (found["limit"], found["allowed"], found["actual"]) == ("MAX_BATCH_FILES", 4, 5)
    large = [("file", ("a.png", bytes(90_000)))] * 4
    found = problem(await http.post("/registry/batch", files=large), 413, "body_too_large")
    assert (found["limit"], found["allowed"]) == ("MAX_BATCH_BYTES", 300_000)
    await nothing_stored(platform)


async def test_the_same_file_twice_in_a_batch(http: httpx.AsyncClient, samples: Samples) -> None:
    png = ("file", ("a.png", samples["png"]))
    document = (await http.post("/registry/batch", files=[png, png])).json()
    assert (document["accepted"], document["duplicates"]) == (1, 1)


async def test_deleting_and_uploading_again(
    http: httpx.AsyncClient, platform: MemoryPlatform, samples: Samples
) -> None:
    first = (await http.put("/registry/upload?filename=a.png", content=samples["png"])).json()
    for _ in range(2):
        answer = await http.delete(f"/registry/images/{first['id']}")
        assert answer.status_code == 202
        assert answer.json()["id"] == first["id"]
        assert answer.json()["reason"] == "requested"
        await platform.bus.settle()
        assert [subject.split(".", 3)[3] for subject in platform.bus.log] == ["deleted"]
        assert platform.bucket("originals").used_bytes == 0
    again = await http.put("/registry/upload?filename=b.png", content=samples["png"])
    assert (again.status_code, again.json()["filename"]) == (201, "b.png")
    await platform.bus.settle()
    assert [subject.split(".", 3)[3] for subject in platform.bus.log] == ["uploaded"]


async def test_deleting_what_is_not_there(http: httpx.AsyncClient) -> None:
    unknown = ids.image_id(b"unknown")
    problem(await http.delete(f"/registry/images/{unknown}"), 404, "unknown_image")
    for malformed in ("x", "..%2f..%2fetc", "00000000-0000-4000-8000-000000000000", "%00", "*"):
        answer = await http.delete(f"/registry/images/{malformed}")
        assert answer.status_code in (400, 404), malformed
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_store_that_is_away_or_full(
    http: httpx.AsyncClient, platform: MemoryPlatform, samples: Samples
) -> None:
    platform.bucket("originals").down = True
    answer = await http.put("/registry/upload", content=samples["png"])
    problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"]
    platform.bucket("originals").down = False
    platform.bucket("originals").max_bytes = 10
    problem(await http.put("/registry/upload", content=samples["png"]), 507, "store_full")
    document = (await http.post("/registry/batch", files={"file": samples["png"]})).json()
    assert document["results"][0]["problem"]["code"] == "store_full"
    platform.bucket("originals").max_bytes = -1
    assert (await http.put("/registry/upload", content=samples["png"])).status_code == 201


async def test_a_spool_folder_that_is_gone_is_not_ready(platform: MemoryPlatform) -> None:
    app = create_app(Settings(spool_dir="/nonexistent/folder"), platform.connect)
    async with client(app) as http:
        answer = await http.get("/registry/health/ready")
        assert answer.status_code == 503
        assert "SPOOL_DIR" in answer.json()["checks"]["spool_dir"]
        assert (await http.get("/registry/health/live")).status_code == 200


async def test_openapi_describes_bodies_and_refusals(http: httpx.AsyncClient) -> None:
    schema = (await http.get("/registry/schema/openapi.json")).json()
    form = schema["paths"]["/registry/upload"]["post"]
    assert set(form["responses"]) >= {"200", "201", "400", "413", "415", "422", "503", "507"}
    body = form["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(body["properties"]) == {"file", "image", "tags"}
    raw = schema["paths"]["/registry/upload"]["put"]
    assert {parameter["name"] for parameter in raw["parameters"]} == {"filename", "tags"}


async def test_metrics_say_where_the_time_goes(http: httpx.AsyncClient, samples: Samples) -> None:
    await http.put("/registry/upload", content=samples["png"])
    await http.put("/registry/upload", content=b"x")
    text = (await http.get("/registry/metrics")).text
    for stage in ("receive", "validate", "lookup", "store", "announce"):
        assert f'upload_stage_seconds_count{{stage="{stage}"}}' in text
    assert 'uploads_total{outcome="accepted"} 1.0' in text
    assert 'uploads_total{outcome="unsupported_media_type"} 1.0' in text
