"""A bell that rings when facts are said, for those who keep their own place in the log.

A consumer keeps a place at the server, and whoever may make one chooses where it delivers to. Who
keeps its own place (a browser, a webhook) reads what comes after it (`Bus.history`), and needs
only be told when to read again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol, TypeAlias

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from imagesystem.bus.memory import MemoryBus
from imagesystem.bus.port import Received
from imagesystem.events import Event
from imagesystem.topology import Consumer

__all__ = ["Doorbell", "JetStreamDoorbell", "MemoryDoorbell", "Ring"]

#: Called when something was said: maybe a moment before the log has it, maybe for nothing (the
#: log refused it), and never for what was said while the connection was down.
Ring: TypeAlias = Callable[[], None]
EVERYTHING = "images.v1.>"


class Doorbell(Protocol):
    """Rings whenever a fact is said."""

    def ringing(self, ring: Ring) -> AbstractAsyncContextManager[None]:
        """Ring for as long as the context is open."""
        ...


class JetStreamDoorbell:
    """See `Doorbell`: a plain subscription, which the client renews after a reconnect."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @asynccontextmanager
    async def ringing(self, ring: Ring) -> AsyncIterator[None]:
        """See `Doorbell.ringing`."""

        async def hear(message: Msg) -> None:
            del message
            ring()

        subscription = await self._client.subscribe(EVERYTHING, cb=hear)
        try:
            yield
        finally:
            with suppress(nats.errors.Error):
                await subscription.unsubscribe()


class MemoryDoorbell:
    """The in-memory twin, for tests."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus

    @asynccontextmanager
    async def ringing(self, ring: Ring) -> AsyncIterator[None]:
        """See `Doorbell.ringing`."""

        async def hear(received: Received[Event]) -> None:
            del received
            ring()

        ear = Consumer(name="bell", service="metadata", stream="IMAGES", subjects=(EVERYTHING,))
        consumption = await self._bus.consume(ear, hear)
        try:
            yield
        finally:
            await consumption.stop()
