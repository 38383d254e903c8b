"""Pauses of durable consumers: kept by the server, which ends them at their deadline.

The server keeps a pause in the consumer's configuration, so that it survives restarts of
everything, holds for all replicas, and needs nobody to end it (nats-server 2.11 and later).
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec
from nats.aio.client import Client

from imagesystem.bus import api
from imagesystem.bus.provisioning import CONSUMER_MISSING
from imagesystem.topology import Consumer

__all__ = ["LOOK_EVERY_S", "Pauses", "look", "pause", "paused_until"]

#: What was seen is believed for this long.
LOOK_EVERY_S = 1.0


async def pause(client: Client, consumer: Consumer, until: datetime | None) -> None:
    """Let the server hold back what comes for `consumer` until then; None: no longer.

    Raises `JetStreamError` for a consumer that is not there, `Unavailable`.
    """
    body = {"pause_until": until} if until else None
    await api.api_call(client, f"CONSUMER.PAUSE.{consumer.stream}.{consumer.name}", body)


async def look(client: Client, consumer: Consumer) -> datetime | None:
    """Return until when `consumer` is paused, None if it is not; raises as `pause` does."""
    info = await api.api_call(client, f"CONSUMER.INFO.{consumer.stream}.{consumer.name}")
    return paused_until(info)


def paused_until(info: dict[str, Any]) -> datetime | None:
    """Return until when the consumer is paused that `info` is the server's answer about."""
    if not info.get("paused"):
        return None
    return msgspec.convert(info["config"]["pause_until"], datetime)


class Pauses:
    """The pauses of consumers, looked at when somebody asks, and not more often than needed."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._seen: dict[str, tuple[float, datetime | None]] = {}
        self._looking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def until(self, consumer: Consumer) -> datetime | None:
        """Return until when `consumer` is paused, as it was at most `LOOK_EVERY_S` ago.

        Raises `Unavailable`; a consumer that is not there is not paused.
        """
        async with self._looking[consumer.name]:
            looked_at, until = self._seen.get(consumer.name, (0.0, None))
            if not looked_at or self._clock() - looked_at >= LOOK_EVERY_S:
                until = await self._look(consumer)
                self._seen[consumer.name] = (self._clock(), until)
            return until

    async def _look(self, consumer: Consumer) -> datetime | None:
        try:
            return await look(self._client, consumer)
        except api.JetStreamError as error:
            if error.error_code != CONSUMER_MISSING:
                raise
            return None

    async def pause(self, consumer: Consumer, until: datetime | None) -> None:
        """Pause `consumer` until then, or no longer (None)."""
        await pause(self._client, consumer, until)
        self._seen[consumer.name] = (self._clock(), until)

    async def among(self, consumers: Iterable[Consumer]) -> dict[str, datetime]:
        """Return until when those of `consumers` are paused that are."""
        asked = list(consumers)
        found = await asyncio.gather(*(self.until(consumer) for consumer in asked))
        return {
            consumer.name: until
            for consumer, until in zip(asked, found, strict=True)
            if until is not None
        }
