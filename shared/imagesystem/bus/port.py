"""The port through which services say and hear events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime
from typing import Generic, Protocol, TypeAlias, TypeVar

import msgspec

from imagesystem.errors import Permanent
from imagesystem.events import Event, Fact
from imagesystem.topology import Consumer

__all__ = [
    "Bus",
    "Consumption",
    "GaveUp",
    "Handler",
    "Received",
    "Said",
    "Stretch",
    "Unread",
]

E_co = TypeVar("E_co", bound=Event, covariant=True)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the server answered to a publish: the stream sequence it gave the event."""

    sequence: int
    event_id: str


class Received(msgspec.Struct, Generic[E_co], frozen=True, kw_only=True):
    """An event as it came: `attempts` is 1 for the first delivery, `sequence` the stream's."""

    event: E_co
    subject: str
    sequence: int
    published_at: datetime
    attempts: int = 1
    headers: dict[str, str] = {}


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the log that the contract cannot read, and why."""

    subject: str
    sequence: int
    why: str


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the log in the order of sequences, which ends with the sequence `last`.

    `pending`: messages that follow it.
    """

    facts: list[Received[Fact]]
    unread: list[Unread] = []
    last: int
    pending: int


#: Called once per event; returning means "done, durable", an exception is a verdict.
Handler: TypeAlias = Callable[[Received[Event]], Awaitable[None]]
#: Called after a message became a dead letter, to say `failed` about it (None event: undecodable).
GaveUp: TypeAlias = Callable[[Received[Event], Permanent, int], Awaitable[None]]


class Consumption(Protocol):
    """A running consumer."""

    @property
    def healthy(self) -> str | None:
        """None while it works, else one line that says what it waits for."""

    async def stop(self) -> None:
        """Stop fetching, let the running handlers finish, flush their acks."""
        ...


class Bus(Protocol):
    """Events in and out. All calls raise `Unavailable` when the server does not answer."""

    async def publish(self, event: Event, *, expected: int | None = None) -> Said:
        """Say an event; retried under one id until the server confirmed it.

        A fact other than `uploaded` and `deleted` is refused with `ImageDeleted` when the image
        has a tombstone. With `expected`, the last sequence on the event's own subject must be
        that (0: nothing there), or `WrongSequence` is raised; that replaces the tombstone guard.
        """
        ...

    async def latest(self, subject: str) -> Received[Event] | None:
        """Return the latest event on exactly this subject, or None."""
        ...

    async def facts(self, image_id: str) -> list[Received[Fact]]:
        """Return the latest of every fact about an image, oldest first.

        Kinds of facts that this version of the contract does not know are passed over.
        """
        ...

    def history(
        self, pattern: str = "images.v1.>", *, after: int = 0, batch: int = 4096
    ) -> AsyncGenerator[Stretch, None]:
        """Yield the facts whose subject matches, oldest first, to the end of the log.

        `after`: the sequence to begin behind; `batch`: facts in a stretch at most. Two stretches
        are in memory at a time. What is said meanwhile comes as well; what is superseded
        meanwhile may come twice, or only in its newer state.
        """
        ...

    async def head(self) -> int:
        """Return the sequence of the last fact said, as the stream's leader knows it."""
        ...

    async def forget(self, pattern: str, *, below: int | None = None) -> int:
        """Remove facts whose subject matches (`images.v1.<id>.>`), those below a sequence only.

        Returns how many went. Only the registry may.
        """
        ...

    async def consume(
        self, consumer: Consumer, handler: Handler, *, gave_up: GaveUp | None = None
    ) -> Consumption:
        """Start to handle what comes for a durable consumer; returns at once.

        The consumer is created when it is not there, from its checkpoint if it has one. Dead
        letters of it that somebody wants replayed come to the same handler, as they were. When
        too much fails for good it is paused (see `imagesystem.bus.brake`).
        """
        ...

    async def pause(self, consumer: Consumer, until: datetime | None) -> None:
        """Hold back what comes for `consumer`, for all who consume it; None: no longer.

        What it has in work it finishes. The pause ends by itself, and survives restarts.
        """
        ...

    async def paused_until(self, consumer: Consumer) -> datetime | None:
        """Return until when `consumer` is paused, None if it is not: as of a second ago at most.

        Cheap enough to be asked for every message.
        """
        ...

    async def paused(self) -> dict[str, datetime]:
        """Return until when those of the consumers are paused that are consumed here."""
        ...

    @property
    def unhealthy(self) -> str | None:
        """None while connected, else one line that says why not."""
