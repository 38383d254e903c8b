"""The two MongoDB clients that the store works with. Both are bound to the running loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymongo import AsyncMongoClient

from metadata_service.settings import Settings

__all__ = ["DRIVERS"]


#: How often a server is looked at: one that hangs is known as down after about twice that, and
#: calls then fail at once instead of each waiting for its own timeout.
HEARTBEAT_MS = 2000


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "appname": "image-system-metadata",
        "serverSelectionTimeoutMS": int(settings.mongodb_select_timeout_s * 1000),
        "connectTimeoutMS": int(settings.mongodb_select_timeout_s * 1000),
        "socketTimeoutMS": int(settings.mongodb_answer_timeout_s * 1000),
        "waitQueueTimeoutMS": int(settings.mongodb_answer_timeout_s * 1000),
        "heartbeatFrequencyMS": HEARTBEAT_MS,
        "maxPoolSize": settings.mongodb_pool,
    }


def _pymongo(settings: Settings) -> Any:
    return AsyncMongoClient(settings.mongodb_url, **_options(settings))


def _motor(settings: Settings) -> Any:
    from motor.motor_asyncio import AsyncIOMotorClient  # noqa: PLC0415  an optional dependency

    return AsyncIOMotorClient(settings.mongodb_url, **_options(settings))


#: `MONGODB_DRIVER` → a client; nothing is asked of the server yet.
DRIVERS: dict[str, Callable[[Settings], Any]] = {"pymongo": _pymongo, "motor": _motor}
