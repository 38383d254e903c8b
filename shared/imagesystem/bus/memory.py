"""The in-memory twin of the bus: the same answers, no server. For tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import cast

from imagesystem import ids
from imagesystem.bus.brake import BrakeLimits, Braking
from imagesystem.bus.messages import Delivery, headers_for
from imagesystem.bus.port import Consumption, GaveUp, Handler, Received, Said, Stretch
from imagesystem.bus.replaying import Replays, WithReplays
from imagesystem.bus.verdicts import final, letter_for, verdict_on
from imagesystem.errors import ImageDeleted, Permanent, Transient, Unavailable, WrongSequence
from imagesystem.events import DeadLetter, Event, Fact, Failed, encode, guard_of
from imagesystem.metrics import Metrics
from imagesystem.topology import Consumer, replays_of

__all__ = ["MemoryBus"]


def _matches(pattern: str, subject: str) -> bool:
    wanted, found = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, found = wanted[:-1], found[: len(wanted) - 1] if len(found) >= len(wanted) else []
    return len(wanted) == len(found) and all(
        want in ("*", found) for want, found in zip(wanted, found, strict=True)
    )


class MemoryBus:
    """Events in a dictionary, the latest per subject; consumers are tasks of this loop.

    `down` makes every call raise `Unavailable`, as a stopped server would.
    """

    def __init__(self, brake: BrakeLimits | None = None) -> None:
        self.log: dict[str, Received[Event]] = {}
        self.sequence = 0
        self.down = False
        self.brake = brake or BrakeLimits()
        self.pauses = _MemoryPauses()
        self._measures = Metrics()
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
        if isinstance(event, Failed | DeadLetter) and event.resolved:
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
    ) -> AsyncGenerator[Stretch, None]:
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
    ) -> Consumption:
        """See `Bus.consume`; what is in the log already is delivered first."""
        again = Replays(self, consumer, handler, gave_up)
        news = _MemoryConsumption(
            self,
            consumer,
            handler,
            gave_up=gave_up,
            park=self.publish,
            braking=Braking(consumer, self.brake, self.pauses, self._measures),
        )
        replays = _MemoryConsumption(
            self,
            replays_of(consumer),
            again.handle,
            gave_up=again.gave_up,
            park=again.park,
        )
        for consumption in (news, replays):
            for received in sorted(self.log.values(), key=lambda item: item.sequence):
                consumption.offer(received)
            self._consumptions.append(consumption)
        return WithReplays(news, replays)

    def forget_consumption(self, consumption: _MemoryConsumption) -> None:
        """Deliver nothing more to a consumption that was stopped."""
        self._consumptions.remove(consumption)

    async def pause(self, consumer: Consumer, until: datetime | None) -> None:
        """See `Bus.pause`."""
        self._check()
        await self.pauses.pause(consumer, until)

    async def paused_until(self, consumer: Consumer) -> datetime | None:
        """See `Bus.paused_until`."""
        self._check()
        return await self.pauses.until(consumer)

    async def paused(self) -> dict[str, datetime]:
        """See `Bus.paused`."""
        self._check()
        names = {consumption.consumer.name for consumption in self._consumptions}
        return {name: until for name, until in self.pauses.now().items() if name in names}

    async def settle(self) -> None:
        """Wait until every consumer has handled everything said so far, and what that led to.

        What is held back by a pause is not waited for.
        """
        while busy := [consumption for consumption in self._consumptions if consumption.busy]:
            await asyncio.gather(*(consumption.queue.join() for consumption in busy))


class _MemoryPauses:
    """Which consumers are paused, and until when."""

    def __init__(self) -> None:
        self._until: dict[str, datetime] = {}
        self._changed = asyncio.Event()

    def now(self) -> dict[str, datetime]:
        return {name: until for name, until in self._until.items() if until > ids.now()}

    async def until(self, consumer: Consumer) -> datetime | None:
        return self.now().get(consumer.name)

    async def pause(self, consumer: Consumer, until: datetime | None) -> None:
        self._until.pop(consumer.name, None)
        if until is not None:
            self._until[consumer.name] = until
        self._changed.set()
        self._changed = asyncio.Event()

    async def over(self, consumer: Consumer) -> None:
        """Return when `consumer` is not paused."""
        while (until := await self.until(consumer)) is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout((until - ids.now()).total_seconds()):
                    await self._changed.wait()


class _MemoryConsumption:
    def __init__(
        self,
        bus: MemoryBus,
        consumer: Consumer,
        handler: Handler,
        *,
        gave_up: GaveUp | None,
        park: Callable[[DeadLetter], Awaitable[object]],
        braking: Braking | None = None,
    ) -> None:
        self.bus = bus
        self.consumer = consumer
        self.handler = handler
        self.gave_up = gave_up
        self.park = park
        self.braking = braking
        self.queue: asyncio.Queue[Received[Event]] = asyncio.Queue()
        self.waiting: str | None = None
        self._tasks = [asyncio.create_task(self._work()) for _ in range(consumer.concurrency)]

    @property
    def healthy(self) -> str | None:
        paused = self.consumer.name in self.bus.pauses.now()
        return self.waiting or (self.braking.line if self.braking and paused else None)

    @property
    def busy(self) -> bool:
        if self.consumer.name in self.bus.pauses.now():
            return False
        return bool(self.queue._unfinished_tasks)  # type: ignore[attr-defined]  # noqa: SLF001

    def offer(self, received: Received[Event]) -> None:
        if any(_matches(pattern, received.subject) for pattern in self.consumer.subjects):
            self.queue.put_nowait(received)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.bus.forget_consumption(self)

    async def _work(self) -> None:
        while True:
            received = await self.queue.get()
            try:
                await self.bus.pauses.over(self.consumer)
                if self.braking is not None:
                    await self.braking.look()
                await self._deliver(received)
            finally:
                self.queue.task_done()

    async def _deliver(self, received: Received[Event]) -> None:
        attempts, began = 1, ids.now()
        verdict = await self._attempt(received, attempts)
        while isinstance(verdict, Transient) and attempts < self.consumer.attempts:
            attempts += 1
            await asyncio.sleep(0)
            verdict = await self._attempt(received, attempts)
        if verdict is None or isinstance(verdict, ImageDeleted):
            verdict = None
        else:
            delivery = _as_delivery(received, attempts)
            await self.park(letter_for(self.consumer, delivery, verdict, first_at=began))
            if self.gave_up is not None:
                with suppress(ImageDeleted):
                    await self.gave_up(received, final(verdict), attempts)
        if self.consumer.stream == "COMMANDS" and self.bus.log.get(received.subject) is received:
            del self.bus.log[received.subject]  # a work queue
        if self.braking is not None:
            await self.braking.settled(verdict)

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
                self.waiting = None
                return None
            if not isinstance(verdict, Unavailable):
                self.waiting = None
                return verdict
            self.waiting = f"waiting for {verdict.dependency}"
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
