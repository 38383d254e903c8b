"""Whatever is asked, of every route and parameter, on real servers: a 4xx problem, or an answer."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from services.metadata.tests.samples import image_id
from services.metadata.tests.test_on_servers import World, mongodb, nats, until_ready, world

__all__ = ["mongodb", "nats", "world"]  # fixtures

pytestmark = [pytest.mark.integration, pytest.mark.slow]

LONE = "\ud800".encode("utf-8", "surrogatepass")
#: What makes databases, parsers and clocks stumble.
VALUES: tuple[str | bytes, ...] = (
    "",
    "a\0b",
    "-1",
    "1e308",
    "nan",
    "99999999999999999999999",
    '{"$gt": ""}',
    "$where",
    "(a+)+$",
    "*.>",
    LONE,
    "\u202e\u0301\U0001f408" * 40,
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00",
    "90,180,20000",
    "x:1e999",
    'tag:"' + "\\" * 300,
    " ".join(["near:89.9,179.9,19999 color:#123456:100"] * 20),
    "," * 300,
)
#: Bodies, by what is wrong with them.
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no object": b"[1]",
    "cut off": b'{"title": "x',
    "deep": b'{"tags":' + b"[" * 100_000,
    "deep objects": b'{"query":' + b'{"a":' * 50_000,
    "a lone surrogate": b'{"title":"\\ud800","caption":"\\ud800"}',
    "bytes that are no text": b'{"title":"\xff"}',
    "a number beyond all": b'{"rating":1e400}',
    "many digits": b'{"rating":' + b"9" * 5000 + b"}",
    "an operator": b'{"title":{"$gt":""},"ids":[{"$ne":1}],"image_id":{"$gt":""}}',
    "another name": b'{"__proto__":{},"$set":{}}',
    "many ids": json.dumps({"ids": ["x"] * 50_000, "images": ["x"] * 50_000}).encode(),
    "two bytes a character": '{"title":"x"}'.encode("utf-16"),
}


def questions(routes: dict[str, Any]) -> Iterator[str]:
    """Yield every path with every value in every place, and every parameter with every value."""
    known: set[str] = set()
    for path, operations in routes.items():
        if "get" not in operations or path.endswith(("/events", "/asyncapi.json")):
            continue
        if "{" in path:
            for value in VALUES:
                yield re.sub(r"\{\w+\}", quote(value, safe="") or "%20", path)
        there = re.sub(r"\{\w+\}", image_id(1), path)
        for parameter in operations["get"].get("parameters", ()):
            name = parameter["name"]
            if name == "text" or parameter["in"] != "query":  # inference is asked, and is not here
                continue
            # What is called the same is read the same; but for words a database is asked.
            if name not in known or name in ("q", "cursor"):
                known.add(name)
                yield from (f"{there}?{name}={quote(each)}" for each in VALUES)


async def swept(http: httpx.AsyncClient, requests: list[tuple[str, str, bytes]]) -> list[Any]:
    """Ask everything, some at once, and return what was not answered as it should."""
    room, wrong = asyncio.Semaphore(4), []

    async def ask(method: str, path: str, body: bytes) -> None:
        headers = {"content-type": "application/json"} if method != "GET" else {}
        async with room:
            answer = await http.request(method, path, content=body, headers=headers)
        problem = answer.headers["content-type"] == "application/problem+json"
        if answer.status_code >= 500 or (answer.status_code >= 400) != problem:
            wrong.append((method, path[:200], body[:100], answer.status_code, answer.text[:300]))

    await asyncio.gather(*(ask(*each) for each in requests))
    return wrong


@pytest.fixture
async def routes(world: World) -> dict[str, Any]:
    await until_ready(world.replicas[0])
    await world.upload(1)
    found: dict[str, Any] = (await world.replicas[0].get("/metadata/schema/openapi.json")).json()[
        "paths"
    ]
    return found


async def test_questions(world: World, routes: dict[str, Any]):
    asked = [("GET", path, b"") for path in questions(routes)]
    assert len(asked) > 1000
    assert await swept(world.replicas[0], asked) == []


async def test_bodies(world: World, routes: dict[str, Any]):
    told = [
        (method.upper(), re.sub(r"\{\w+\}", image_id(1), path), body)
        for path, operations in routes.items()
        for method in ("post", "patch")
        if method in operations and "requestBody" in operations[method]
        for body in BODIES.values()
    ]
    assert len(told) > 50
    assert await swept(world.replicas[0], told) == []
