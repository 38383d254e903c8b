"""What every service's HTTP side has: errors, health, metrics, ids."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from imagesystem import errors, web
from imagesystem.health import Health
from imagesystem.metrics import Metrics
from imagesystem.settings import ServiceSettings
from imagesystem.testing import client
from litestar import Litestar, get, post
from litestar.params import FromPath, JSONBody

RAISED: dict[str, Exception] = {
    "rejected": errors.Rejected(
        422, "too_many_pixels", "no", limit="MAX_PIXELS", allowed=1, actual=2
    ),
    "unavailable": errors.Unavailable("mongodb"),
    "full": errors.StoreFull("no room"),
    "deleted": errors.ImageDeleted("gone"),
    "bug": KeyError("secret detail"),
}


class Body(msgspec.Struct, forbid_unknown_fields=True):
    number: int


@get("/registry/raise/{name:str}")
async def fail(name: FromPath[str]) -> None:
    raise RAISED[name]


@post("/registry/body")
async def body(data: JSONBody[Body]) -> Body:
    return data


def shortcut(scope: Any) -> web.Ready | Awaitable[web.Ready] | None:
    """Answer `/registry/at-once`, and `/registry/later/{name}` with what `RAISED` has of it."""
    route, _, name = scope["path"].removeprefix("/registry/").partition("/")
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"4")]
    ready = web.Ready(status=200, headers=headers, body=b"done", route=f"/registry/{route}")

    async def later() -> web.Ready:
        if name in RAISED:
            raise RAISED[name]
        return ready

    if route == "later":
        scope["path_template"] = "/registry/later/{name}"
        return later()
    return ready if route == "at-once" else None


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    health = Health("registry")
    health.watch("nats", lambda: None)
    health.watch("mongodb", lambda: "not there" if broken else None)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        yield

    app = web.create_app(
        settings=ServiceSettings(cors_origins="https://example.org"),
        health=health,
        measures=Metrics(),
        routes=[fail, body],
        lifespan=lifespan,
        max_body_bytes=100,
        shortcut=shortcut,
    )
    async with client(app) as http:
        yield http
    broken.clear()


broken: list[bool] = []


@pytest.mark.parametrize("way", ["raise", "later"])
@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("rejected", 422, "too_many_pixels"),
        ("unavailable", 503, "unavailable"),
        ("full", 507, "store_full"),
        ("deleted", 410, "image_deleted"),
        ("bug", 500, "internal_error"),
    ],
)
async def test_errors_are_problems_with_a_code_and_never_cached(
    http: httpx.AsyncClient, way: str, name: str, status: int, code: str
) -> None:
    answer = await http.get(f"/registry/{way}/{name}", headers={"x-request-id": "mine"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem = answer.json()
    assert (problem["code"], problem["status"], problem["request_id"]) == (code, status, "mine")
    assert "secret detail" not in answer.text


async def test_a_shortcut_answers_at_once_or_later_and_counts(http: httpx.AsyncClient) -> None:
    for path in ("at-once", "later/it"):
        answer = await http.get(f"/registry/{path}")
        assert (answer.status_code, answer.text) == (200, "done")
        assert answer.headers["x-request-id"]
    await http.get("/registry/later/deleted")
    counted = (await http.get("/registry/metrics")).text
    for route, status in (("at-once", 200), ("later", 200), ("later/{name}", 410)):
        labels = f'method="GET",route="/registry/{route}",status="{status}"'
        assert f"http_requests_total{{{labels}}} 1.0" in counted


async def test_a_limit_is_named_with_its_value_and_the_actual_one(http: httpx.AsyncClient) -> None:
    problem = (await http.get("/registry/raise/rejected")).json()
    assert (problem["limit"], problem["allowed"], problem["actual"]) == ("MAX_PIXELS", 1, 2)


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code"),
    [
        ("GET", "/registry/nothing", b"", 404, "not_found"),
        ("DELETE", "/registry/body", b"", 405, "method_not_allowed"),
        ("POST", "/registry/body", b"{", 400, "invalid_request"),
        ("POST", "/registry/body", b'{"number": "x"}', 400, "invalid_request"),
        ("POST", "/registry/body", b'{"number": "\xff"}', 400, "invalid_request"),
        ("POST", "/registry/body", b"[" * 90, 400, "invalid_request"),
        ("POST", "/registry/body", b'{"number": 1, "more": 2}', 400, "invalid_request"),
        ("POST", "/registry/body", b'{"number": 1}' + b" " * 200, 413, "body_too_large"),
    ],
)
async def test_what_the_framework_refuses_is_a_problem_too(
    http: httpx.AsyncClient, method: str, path: str, content: bytes, status: int, code: str
) -> None:
    answer = await http.request(
        method, path, content=content, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_health_tells_what_is_missing(http: httpx.AsyncClient) -> None:
    ready = await http.get("/registry/health/ready")
    assert ready.status_code == 200
    assert ready.json()["checks"] == {"nats": None, "mongodb": None}
    broken.append(True)
    ready = await http.get("/registry/health/ready")
    assert ready.status_code == 503
    assert ready.json()["checks"]["mongodb"] == "not there"
    assert (await http.get("/registry/health/live")).status_code == 200


async def test_a_request_id_is_kept_if_sane_and_made_if_not(http: httpx.AsyncClient) -> None:
    kept = await http.get("/registry/health/live", headers={"x-request-id": "abc-1"})
    assert kept.headers["x-request-id"] == "abc-1"
    made = await http.get("/registry/health/live", headers={"x-request-id": "a\tb" * 50})
    assert made.headers["x-request-id"] not in ("", "a\tb" * 50)


async def test_requests_are_counted_by_route_not_by_path(http: httpx.AsyncClient) -> None:
    await http.get("/registry/raise/rejected")
    await http.get("/registry/raise/deleted")
    text = (await http.get("/registry/metrics")).text
    wanted = 'http_requests_total{method="GET",route="/registry/raise/{name}",status="422"} 1.0'
    assert wanted in text, text


async def test_browsers_of_allowed_origins_may_call(http: httpx.AsyncClient) -> None:
    answer = await http.get("/registry/health/live", headers={"origin": "https://example.org"})
    assert answer.headers["access-control-allow-origin"] == "https://example.org"
    answer = await http.get("/registry/health/live", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


async def test_the_api_is_described(http: httpx.AsyncClient) -> None:
    schema = (await http.get("/registry/schema/openapi.json")).json()
    assert "/registry/body" in schema["paths"]
