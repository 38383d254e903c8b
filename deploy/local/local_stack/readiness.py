"""Is it ready? One question for every part, by its URL.

`http://…` is ready when it answers 200; `mongodb://host:port` when it answers `ping`, which
needs no password.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

__all__ = ["Answer", "probe", "wait_ready"]

_TIMEOUT_S = 5.0
_POLL_S = 0.1


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`problem`: None when ready, else one line; `version`: what the part said it is, or empty.

    `status`: the HTTP status, 0 where there was none; `paused`: until when its consumers are.
    """

    problem: str | None = None
    version: str = ""
    status: int = 0
    paused: dict[str, datetime] = {}


async def probe(url: str) -> Answer:
    """Ask the part behind `url` whether it is ready. Never raises for what the part does."""
    return await (_ask_mongodb if url.startswith("mongodb") else _ask_http)(url)


async def wait_ready(url: str) -> None:
    """Ask until what is behind `url` is ready."""
    while True:
        if (await probe(url)).problem is None:
            return
        await asyncio.sleep(_POLL_S)


def _missing(report: dict[str, Any]) -> str | None:
    """Return what a service's health report says is missing, in one line."""
    checks = report.get("checks")
    if not isinstance(checks, dict):
        return None
    return "; ".join(str(line) for line in checks.values() if line) or None


def _paused(report: dict[str, Any]) -> dict[str, datetime]:
    """Return what a service's health report says is paused; nothing if it says it wrongly."""
    try:
        return msgspec.convert(report.get("paused", {}), dict[str, datetime])
    except msgspec.ValidationError:
        return {}


async def _ask_http(url: str) -> Answer:
    try:
        # trust_env: no proxy stands between this machine and itself. verify: there is no TLS, and
        # reading all certificates of the world took 20 ms, each second for each part.
        async with httpx.AsyncClient(
            timeout=_TIMEOUT_S,
            trust_env=False,
            verify=False,  # noqa: S501
        ) as http:
            answer = await http.get(url)
    except httpx.TimeoutException:
        return Answer(problem=f"no answer within {_TIMEOUT_S:g} s")
    except httpx.HTTPError:
        return Answer(problem=f"nothing answers on port {urlsplit(url).port}")
    try:
        report = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        report = None
    report = report if isinstance(report, dict) else {}
    problem = None
    if answer.status_code != httpx.codes.OK:
        problem = _missing(report) or f"it answers {answer.status_code}"
    return Answer(
        problem=problem,
        version=str(report.get("version", "")),
        status=answer.status_code,
        paused=_paused(report),
    )


async def _ask_mongodb(url: str) -> Answer:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        url, serverSelectionTimeoutMS=2000, socketTimeoutMS=5000, directConnection=True
    )
    try:
        await client.admin.command("ping")
    except PyMongoError:
        return Answer(problem=f"mongod does not answer on port {urlsplit(url).port}")
    finally:
        await client.close()
    return Answer()
