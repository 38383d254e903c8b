from __future__ import annotations

import hashlib
import os

import pytest
from image_service.parameters import PARAMETERS
from imagesystem import ids
from imagesystem.events import Deleted

BIG = os.urandom(700_000)


@pytest.fixture(scope="session")
async def original(upload):
    return await upload(BIG, filename='Füße; "1".jpg', media_type="image/jpeg")


@pytest.fixture(scope="session")
def url(original):
    return f"/image/images/{original.image_id}"


def assert_problem(response, status: int, code: str) -> dict:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert "etag" not in response.headers
    problem = response.json()
    assert (problem["status"], problem["code"]) == (status, code)
    return problem


async def test_the_original_is_served_byte_for_byte(http, url):
    response = await http.get(url)
    assert response.status_code == 200
    assert response.content == BIG
    assert response.headers["content-length"] == str(len(BIG))
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["etag"] == f'"{hashlib.sha256(BIG).hexdigest()}"'
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["last-modified"] == "Fri, 02 Jan 2026 03:04:05 GMT"
    assert response.headers["cache-control"] == "public, max-age=86400, immutable"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-disposition"] == (
        "inline; filename=\"Fu_e; _1_.jpg\"; filename*=UTF-8''F%C3%BC%C3%9Fe%3B%20_1_.jpg"
    )
    assert "vary" not in response.headers
    assert "x-request-id" in response.headers


async def test_head_says_what_get_says_without_the_bytes(http, url):
    get, head = await http.get(url), await http.head(url)
    assert head.status_code == 200
    assert head.content == b""
    for name in get.headers.keys() - {"x-request-id"}:
        assert head.headers[name] == get.headers[name]


async def test_head_ignores_ranges(http, url):
    head = await http.head(url, headers={"range": "bytes=5-2,x"})
    assert head.status_code == 200
    assert head.headers["content-length"] == str(len(BIG))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
async def test_what_the_client_has_is_not_sent_again(http, url, original, method, form):
    etag = f'"{original.sha256}"'
    response = await http.request(method, url, headers={"if-none-match": form.format(etag)})
    assert response.status_code == 304
    assert response.content == b""
    assert response.headers["etag"] == etag
    assert response.headers["cache-control"] == "public, max-age=86400, immutable"
    assert "content-length" not in response.headers
    assert "content-type" not in response.headers


async def test_what_the_client_has_is_not_read(http, url, original, platform):
    platform.bucket("originals").down = True
    try:
        response = await http.get(url, headers={"if-none-match": f'"{original.sha256}"'})
    finally:
        platform.bucket("originals").down = False
    assert response.status_code == 304


async def test_another_etag_gets_everything(http, url):
    response = await http.get(url, headers={"if-none-match": '"other"'})
    assert (response.status_code, response.content) == (200, BIG)


async def test_modified_since(http, url):
    since = {"if-modified-since": "Fri, 02 Jan 2026 03:04:05 GMT"}
    assert (await http.get(url, headers=since)).status_code == 304
    earlier = {"if-modified-since": "Thu, 01 Jan 2026 03:04:05 GMT"}
    assert (await http.get(url, headers=earlier)).status_code == 200


async def test_a_failed_precondition(http, url):
    response = await http.get(url, headers={"if-match": '"other"'})
    assert_problem(response, 412, "precondition_failed")


@pytest.mark.parametrize(
    ("value", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-1023", 0, 1024),
        ("bytes=131071-131072", 131071, 131073),
        ("bytes=600000-", 600_000, 700_000),
        ("bytes=-100", 699_900, 700_000),
        ("bytes=-9999999", 0, 700_000),
        ("bytes=200000-9999999", 200_000, 700_000),
    ],
)
async def test_ranges(http, url, original, value, start, stop):
    response = await http.get(url, headers={"range": value})
    assert response.status_code == 206
    assert response.content == BIG[start:stop]
    assert response.headers["content-range"] == f"bytes {start}-{stop - 1}/700000"
    assert response.headers["content-length"] == str(stop - start)
    assert response.headers["etag"] == f'"{original.sha256}"'
    assert response.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("bytes=700000-", "range_not_satisfiable"),
        ("bytes=-0", "range_not_satisfiable"),
        ("bytes=0-1,5-6", "multiple_ranges"),
        ("bytes=5-2", "malformed_range"),
        ("bytes=abc", "malformed_range"),
        ("bytes=" + "9" * 5000 + "-", "malformed_range"),
    ],
)
async def test_ranges_that_cannot_be_served(http, url, value, code):
    response = await http.get(url, headers={"range": value})
    assert_problem(response, 416, code)
    assert response.headers["content-range"] == "bytes */700000"


async def test_two_range_headers_are_two_ranges(http, url):
    response = await http.get(url, headers=[("range", "bytes=0-1"), ("range", "bytes=5-6")])
    assert_problem(response, 416, "multiple_ranges")


async def test_another_unit_is_ignored(http, url):
    response = await http.get(url, headers={"range": "pages=1-2"})
    assert (response.status_code, len(response.content)) == (200, len(BIG))


async def test_if_range(http, url, original):
    same = {"range": "bytes=0-9", "if-range": f'"{original.sha256}"'}
    other = {"range": "bytes=0-9", "if-range": '"other"'}
    assert (await http.get(url, headers=same)).content == BIG[:10]
    assert (await http.get(url, headers=other)).content == BIG


async def test_a_matching_etag_comes_before_a_range(http, url, original):
    headers = {"range": "bytes=0-9", "if-none-match": f'"{original.sha256}"'}
    assert (await http.get(url, headers=headers)).status_code == 304


@pytest.mark.parametrize(
    "filename",
    ['a"; evil="x', "a;b.jpg", "x\r\nX-Evil: 1", "x" * 10_000, "\udcff\udcfe.jpg", "", "../../x"],
)
async def test_no_filename_breaks_the_header(http, upload, filename):
    # what JSON cannot carry never was in a fact
    name = filename.encode("utf-8", "replace").decode()
    original = await upload(b"x" + name.encode(), filename=name)
    response = await http.get(f"/image/images/{original.image_id}")
    assert response.status_code == 200
    assert "x-evil" not in response.headers
    header = response.headers["content-disposition"]
    assert header.startswith('inline; filename="')
    assert header.isprintable()
    assert len(header) < 1000


UNKNOWN = "00000000-0000-8000-8000-000000000000"


@pytest.mark.parametrize("query", ["", "?width=50"])
async def test_an_unknown_id(http, query):
    assert_problem(await http.get(f"/image/images/{UNKNOWN}{query}"), 404, "unknown_image")


@pytest.mark.parametrize(
    "image_id",
    [
        "nonsense",
        "00000000-0000-4000-8000-000000000000",
        "00000000000080008000000000000000",
        "images.v1.*.uploaded",
        "%3E",
        "*",
        "%00",
        "%FF%FE",
        "x" * 5000,
        "{00000000-0000-8000-8000-000000000000}",
        "'; DROP TABLE images; --",
    ],
)
async def test_a_malformed_id(http, image_id):
    assert_problem(await http.get(f"/image/images/{image_id}"), 400, "malformed_image_id")


@pytest.mark.parametrize(
    "path",
    [
        "/image/images/..%2f..%2f..%2fetc%2fpasswd",
        "/image/images/%2e%2e/%2e%2e/etc/passwd",
        "/image/images/....//etc/passwd",
        "/image/images/",
        "/image/images",
        "/image/elsewhere",
    ],
)
async def test_paths_that_lead_nowhere(http, path):
    response = await http.get(path)
    assert response.status_code in (400, 404)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_wrong_methods(http, url, method):
    response = await http.request(method, url)
    assert_problem(response, 405, "method_not_allowed")
    assert {word.strip() for word in response.headers["allow"].split(",")} >= {"GET", "HEAD"}


async def test_a_deleted_image_is_gone(http, upload, delete):
    original = await upload(b"to be deleted")
    url = f"/image/images/{original.image_id}"
    assert (await http.get(url)).status_code == 200
    await delete(original.image_id)
    assert_problem(await http.get(url), 410, "image_deleted")
    assert (await http.head(url)).status_code == 410
    known = {"if-none-match": f'"{original.sha256}"'}
    assert (await http.get(url, headers=known)).status_code == 410
    await upload(b"to be deleted")
    assert (await http.get(url)).content == b"to be deleted"


async def test_a_tombstone_counts_before_the_purge(http, upload, platform):
    original = await upload(b"between tombstone and purge")
    await platform.bus.publish(
        Deleted(image_id=original.image_id, reason="test", deleted_at=ids.now())
    )
    response = await http.get(f"/image/images/{original.image_id}")
    assert_problem(response, 410, "image_deleted")


async def test_a_fact_without_its_object_is_no_broken_answer(http, upload, platform):
    original = await upload(b"lost")
    bucket = platform.bucket("originals")
    await bucket.delete(await bucket.info(original.image_id))
    url = f"/image/images/{original.image_id}"
    assert_problem(await http.get(url), 404, "object_missing")


async def test_a_large_original_is_streamed_range_after_range(http, upload, delete, platform):
    """Also after it was written anew: deleted and uploaded again, its pieces have other names."""
    data = os.urandom(1_200_000)
    for _ in range(2):
        original = await upload(data)
        url = f"/image/images/{original.image_id}"
        for start in (0, 500_000, 1_100_000):
            response = await http.get(url, headers={"range": f"bytes={start}-{start + 99_999}"})
            assert (response.status_code, response.content) == (206, data[start : start + 100_000])
        bucket = platform.bucket("originals")
        await bucket.put(original.image_id, data)  # as an operator may, from a backup
        assert (await http.get(url)).content == data
        await delete(original.image_id)
        assert (await http.get(url, headers={"range": "bytes=0-9"})).status_code == 410


async def test_an_outage_is_an_answer_that_says_when_to_come_back(http, upload, platform):
    url = f"/image/images/{(await upload(b'never asked for before')).image_id}"
    for port in (platform.bus, platform.bucket("originals")):
        port.down = True
        try:
            response = await http.get(url)
        finally:
            port.down = False
        assert_problem(response, 503, "unavailable")
        assert "retry-after" in response.headers


async def test_health_and_metrics(http):
    assert (await http.get("/image/health/live")).json()["status"] == "live"
    assert (await http.get("/image/health/ready")).json()["status"] == "ready"
    assert "http_requests_total" in (await http.get("/image/metrics")).text


async def test_the_schema_has_every_parameter_of_the_table(http):
    schema = (await http.get("/image/schema/openapi.json")).json()
    path = schema["paths"]["/image/images/{image_id}"]
    for method in ("get", "head"):
        named = {parameter["name"] for parameter in path[method]["parameters"]}
        assert named >= {parameter.name for parameter in PARAMETERS} | {"image_id", "Range"}
    width = next(p for p in path["get"]["parameters"] if p["name"] == "width")
    assert width["schema"] == {"type": "integer", "minimum": 1, "maximum": 16384}
    assert set(path["get"]["responses"]) >= {"200", "206", "304", "400", "404", "410", "416", "422"}
    assert "image/webp" in path["get"]["responses"]["200"]["content"]
