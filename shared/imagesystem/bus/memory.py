"""The in-memory twin of the bus: the same answers, no server. For tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import cast

from imagesystem import ids
from imagesystem.bus.messages import Delivery, headers_for
from imagesystem.bus.port import GaveUp, Handler, Received, Said, Stretch
from imagesystem.bus.verdicts import final, letter_for, verdict_on
from imagesystem.errors import ImageDeleted, Permanent, Transient, Unavailable, WrongSequence
from imagesystem.events import Event, Fact, Failed, encode, guard_of
from imagesystem.topology import Consumer

__all__ = ["MemoryBus"]


def _matches(pattern: str, subject: str) -> bool:
    wanted, found = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, found = wanted[:-1], found[: len(wanted) - 1] if len(found) >= len(wanted) else []
    return len(wanted) == len(found) and all(map(fnmatchcase, found, wanted))


class MemoryBus:
    """Events in a dictionary, the latest per subject; consumers are tasks of this loop.

    `down` makes every call raise `Unavailable`, as a stopped server would.
    """

    def __init__(self) -> None:
        self.log: dict[str, Received[Event]] = {}
        self.sequence = 0
        self.down = False
        self._consumptions: list[_MemoryConsumption] = []

    @property
    def unhealthy(self) -> str | None:
        """One line while `down`."""
        return "the in-memory bus is down" if self.down else None

    def _check(self) -> None:
        if self.down:
            raise Unavailable("nats", "the in-memory bus is down")

    async def publish(self, event: Event, *, expected: int | None = None) -> Said:
        """See `Bus.publish`."""
        self._check()
        subject = event.subject
        held = self.log.get(subject)
        if expected is not None and (held.sequence if held else 0) != expected:
            raise WrongSequence(f"{subject} is not at {expected}")
        guard = guard_of(event) if expected is None else None
        if guard is not None and guard in self.log:
            raise ImageDeleted(f"{subject}: the image is deleted")
        self.sequence += 1
        event_id = ids.new_id()
        received = Received(
            event=event,
            subject=subject,
            sequence=self.sequence,
            published_at=ids.now(),
            headers=headers_for(subject, event_id, "memory"),
        )
        if isinstance(event, Failed) and event.resolved:
            self.log.pop(subject, None)
        else:
            self.log[subject] = received
        for consumption in self._consumptions:
            consumption.offer(received)
        return Said(sequence=received.sequence, event_id=event_id)

    async def latest(self, subject: str) -> Received[Event] | None:
        """See `Bus.latest`."""
        self._check()
        return self.log.get(subject)

    async def facts(self, image_id: str) -> list[Received[Fact]]:
        """See `Bus.facts`."""
        self._check()
        found = [r for s, r in self.log.items() if s.startswith(f"images.v1.{image_id}.")]
        return sorted(found, key=lambda received: received.sequence)  # type: ignore[arg-type]

    async def history(
        self, pattern: str = "images.v1.>", *, after: int = 0, batch: int = 4096
    ) -> AsyncIterator[Stretch]:
        """See `Bus.history`."""
        while True:
            self._check()
            found = [
                cast("Received[Fact]", received)
                for subject, received in self.log.items()
                if received.sequence > after and _matches(pattern, subject)
            ]
            found.sort(key=lambda received: received.sequence)
            if not found:
                return
            part = found[:batch]
            after = part[-1].sequence
            yield Stretch(facts=part, last=after, pending=len(found) - len(part))

    async def head(self) -> int:
        """See `Bus.head`."""
        self._check()
        return self.sequence

    async def forget(self, pattern: str, *, below: int | None = None) -> int:
        """See `Bus.forget`."""
        self._check()
        gone = [
            subject
            for subject, received in self.log.items()
            if _matches(pattern, subject) and (below is None or received.sequence < below)
        ]
        for subject in gone:
            del self.log[subject]
        return len(gone)

    async def consume(
        self, consumer: Consumer, handler: Handler, *, gave_up: GaveUp | None = None
    ) -> _MemoryConsumption:
        """See `Bus.consume`; what is in the log already is delivered first."""
        consumption = _MemoryConsumption(
            self, consumer, handler, gave_up, self._consumptions.remove
        )
        for received in sorted(self.log.values(), key=lambda item: item.sequence):
            consumption.offer(received)
        self._consumptions.append(consumption)
        return consumption

    async def settle(self) -> None:
        """Wait until every consumer has handled everything said so far, and what that led to."""
        while any(consumption.busy for consumption in self._consumptions):
            await asyncio.gather(*(consumption.queue.join() for consumption in self._consumptions))


class _MemoryConsumption:
    def __init__(
        self,
        bus: MemoryBus,
        consumer: Consumer,
        handler: Handler,
        gave_up: GaveUp | None,
        forget: Callable[[_MemoryConsumption], None],
    ) -> None:
        self.bus = bus
        self.consumer = consumer
        self.handler = handler
        self.gave_up = gave_up
        self.forget = forget
        self.queue: asyncio.Queue[Received[Event]] = asyncio.Queue()
        self.healthy: str | None = None
        self._tasks = [asyncio.create_task(self._work()) for _ in range(consumer.concurrency)]

    @property
    def busy(self) -> bool:
        return bool(self.queue._unfinished_tasks)  # type: ignore[attr-defined]  # noqa: SLF001

    def offer(self, received: Received[Event]) -> None:
        if any(_matches(pattern, received.subject) for pattern in self.consumer.subjects):
            self.queue.put_nowait(received)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.forget(self)

    async def _work(self) -> None:
        while True:
            received = await self.queue.get()
            try:
                await self._deliver(received)
            finally:
                self.queue.task_done()

    async def _deliver(self, received: Received[Event]) -> None:
        attempts = 1
        verdict = await self._attempt(received, attempts)
        while isinstance(verdict, Transient) and attempts < self.consumer.attempts:
            attempts += 1
            await asyncio.sleep(0)
            verdict = await self._attempt(received, attempts)
        if verdict is None or isinstance(verdict, ImageDeleted):
            return
        delivery = _as_delivery(received, attempts)
        await self.bus.publish(letter_for(self.consumer, delivery, verdict))
        if self.gave_up is not None:
            with suppress(ImageDeleted):
                await self.gave_up(received, final(verdict), attempts)

    async def _attempt(
        self, received: Received[Event], attempts: int
    ) -> Transient | Permanent | None:
        while True:
            try:
                async with asyncio.timeout(self.consumer.deadline_s):
                    await self.handler(_as_delivery(received, attempts).decoded())
            except Exception as error:  # noqa: BLE001  every error is a verdict
                verdict = verdict_on(error)
            else:
                self.healthy = None
                return None
            if not isinstance(verdict, Unavailable):
                self.healthy = None
                return verdict
            self.healthy = f"waiting for {verdict.dependency}"
            await asyncio.sleep(0.01)


def _as_delivery(received: Received[Event], attempts: int) -> Delivery:
    return Delivery(
        subject=received.subject,
        body=encode(received.event),
        sequence=received.sequence,
        attempts=attempts,
        published_at=received.published_at,
        headers=received.headers,
    )
