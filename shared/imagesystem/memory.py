"""The in-memory twin of the platform, for tests of services without a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from imagesystem.bus.brake import limits_of
from imagesystem.bus.memory import MemoryBus
from imagesystem.bus.tailing import MemoryDoorbell
from imagesystem.dead_letters.memory import MemoryLetters
from imagesystem.health import Health
from imagesystem.keyvalue.memory import MemoryKeyValue
from imagesystem.metrics import Metrics
from imagesystem.objects.memory import MemoryBucket
from imagesystem.questions.memory import MemoryQuestions
from imagesystem.settings import ServiceSettings

__all__ = ["MemoryPlatform"]


class MemoryPlatform:
    """A bus and buckets in memory; `connect` is what an app's `connect` parameter takes."""

    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.letters = MemoryLetters(self.bus)
        self.doorbell = MemoryDoorbell(self.bus)
        self.questions = MemoryQuestions()
        self._buckets: dict[str, MemoryBucket] = {}
        self._key_values: dict[str, MemoryKeyValue] = {}

    def bucket(self, name: str) -> MemoryBucket:
        """Return the bucket of that name, made when first asked for."""
        return self._buckets.setdefault(name, MemoryBucket(name))

    def key_value(self, name: str) -> MemoryKeyValue:
        """Return the key-value bucket of that name, made when first asked for."""
        return self._key_values.setdefault(name, MemoryKeyValue(name))

    @asynccontextmanager
    async def connect(
        self, settings: ServiceSettings, health: Health, measures: Metrics
    ) -> AsyncIterator[MemoryPlatform]:
        """Stand in for `imagesystem.platform.connect`."""
        del measures
        self.bus.brake = limits_of(settings)
        health.watch("nats", lambda: self.bus.unhealthy)
        health.mention(self.bus.paused)
        yield self
