"""A bell that rings when facts are said, for those who keep their own place in the log, and for
those who remember what the log says.

A consumer keeps a place at the server, and whoever may make one chooses where it delivers to. Who
keeps its own place (a browser, a webhook) reads what comes after it (`Bus.history`), and needs
only be told when to read again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol, TypeAlias

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from imagesystem import ids
from imagesystem.bus.memory import MemoryBus
from imagesystem.bus.port import Received
from imagesystem.errors import Unavailable
from imagesystem.events import Event
from imagesystem.topology import Consumer

__all__ = ["Doorbell", "JetStreamDoorbell", "MemoryDoorbell", "Ring", "Tell"]

#: Called when something was said: maybe a moment before the log has it, maybe for nothing (the
#: log refused it), and never for what was said while the connection was down.
Ring: TypeAlias = Callable[[], None]
#: Called with the subject of what was said, when `Ring` is.
Tell: TypeAlias = Callable[[str], None]
EVERYTHING = "images.v1.>"


class Doorbell(Protocol):
    """Rings whenever a fact is said."""

    def ringing(self, ring: Ring) -> AbstractAsyncContextManager[None]:
        """Ring for as long as the context is open."""
        ...

    def hearing(self, patterns: Sequence[str], tell: Tell) -> AbstractAsyncContextManager[None]:
        """Tell the subjects that match, for as long as the context is open.

        Raises `Unavailable` where this service may not hear them.
        """
        ...

    @property
    def interruptions(self) -> int:
        """How often something may have been missed so far: the connection was down."""
        ...


class JetStreamDoorbell:
    """See `Doorbell`: a plain subscription, which the client renews after a reconnect."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @asynccontextmanager
    async def ringing(self, ring: Ring) -> AsyncIterator[None]:
        """See `Doorbell.ringing`."""

        async with self.hearing((EVERYTHING,), lambda _subject: ring()):
            yield

    @asynccontextmanager
    async def hearing(self, patterns: Sequence[str], tell: Tell) -> AsyncIterator[None]:
        """See `Doorbell.hearing`."""

        async def hear(message: Msg) -> None:
            tell(message.subject)

        subscriptions = [await self._client.subscribe(pattern, cb=hear) for pattern in patterns]
        try:
            await self._client.flush()  # a refusal comes before the answer to this
            if "permissions violation" in str(self._client.last_error or "").lower():
                raise Unavailable("nats", str(self._client.last_error))
            yield
        finally:
            with suppress(nats.errors.Error):
                for subscription in subscriptions:
                    await subscription.unsubscribe()

    @property
    def interruptions(self) -> int:
        """See `Doorbell.interruptions`."""
        return int(self._client.stats["reconnects"]) + (not self._client.is_connected)


class MemoryDoorbell:
    """The in-memory twin, for tests."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus

    @asynccontextmanager
    async def ringing(self, ring: Ring) -> AsyncIterator[None]:
        """See `Doorbell.ringing`."""

        async with self.hearing((EVERYTHING,), lambda _subject: ring()):
            yield

    @asynccontextmanager
    async def hearing(self, patterns: Sequence[str], tell: Tell) -> AsyncIterator[None]:
        """See `Doorbell.hearing`."""

        async def hear(received: Received[Event]) -> None:
            tell(received.subject)

        ear = Consumer(
            name=f"bell-{ids.new_id()}",
            service="metadata",
            stream="IMAGES",
            subjects=tuple(patterns),
        )
        consumption = await self._bus.consume(ear, hear)
        try:
            yield
        finally:
            await consumption.stop()

    @property
    def interruptions(self) -> int:
        """See `Doorbell.interruptions`: nothing is missed in memory."""
        return 0
