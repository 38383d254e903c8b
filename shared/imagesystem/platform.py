"""What a service stands on: the bus and the object buckets of one connection to NATS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeAlias

from imagesystem.bus import Bus
from imagesystem.bus.tailing import Doorbell
from imagesystem.dead_letters import Letters
from imagesystem.health import Health
from imagesystem.keyvalue import KeyValue
from imagesystem.metrics import Metrics
from imagesystem.objects import Bucket
from imagesystem.questions import Questions
from imagesystem.settings import ServiceSettings

__all__ = ["Connect", "Platform", "connect"]


class Platform(Protocol):
    """The ports of one service."""

    @property
    def bus(self) -> Bus:
        """Events in and out."""

    @property
    def doorbell(self) -> Doorbell:
        """Rings when a fact is said; who may hear what is in `permissions.HEARS`."""

    @property
    def letters(self) -> Letters:
        """Dead letters, of all services."""

    @property
    def questions(self) -> Questions:
        """What is asked of other services, and answered to them."""

    def bucket(self, name: str) -> Bucket:
        """Return the bucket of that name (declared in `imagesystem.topology`)."""
        ...

    def key_value(self, name: str) -> KeyValue:
        """Return the key-value bucket of that name (declared in `imagesystem.topology`)."""
        ...


#: Opens a platform for the service that `health` belongs to; closes it in the right order.
Connect: TypeAlias = Callable[
    [ServiceSettings, Health, Metrics], AbstractAsyncContextManager[Platform]
]


@asynccontextmanager
async def connect(
    settings: ServiceSettings, health: Health, measures: Metrics
) -> AsyncIterator[Platform]:
    """Connect to NATS, create what the service owns, and watch the connection's health."""
    from imagesystem.connection import open_platform  # noqa: PLC0415  tests need no NATS client

    async with open_platform(settings, health, measures) as platform:
        yield platform
