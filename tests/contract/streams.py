"""Streams of a real server that are empty when a test begins, and gone when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from imagesystem.bus import api, provisioning
from nats.aio.client import Client

__all__ = ["empty_streams"]


@asynccontextmanager
async def empty_streams(client: Client, configs: Iterable[dict[str, Any]]) -> AsyncIterator[None]:
    """Create the streams; at the end delete them."""
    made: list[str] = []
    try:
        for config in configs:
            await _create_empty(client, config)
            made.append(config["name"])
        yield
    finally:
        for name in made:
            await api.api_call(client, f"STREAM.DELETE.{name}")


async def _create_empty(client: Client, config: dict[str, Any]) -> None:
    # nats-server 2.15.1 removes a deleted stream's files later; one that is created again by then
    # comes back with its messages (120 times of 300 create, publish, delete in a loop).
    name = config["name"]
    while True:
        await provisioning.ensure_stream(client, config)
        state = (await api.api_call(client, f"STREAM.INFO.{name}"))["state"]
        if not state["last_seq"]:
            return
        await api.api_call(client, f"STREAM.DELETE.{name}")
        await asyncio.sleep(0.02)
