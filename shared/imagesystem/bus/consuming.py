"""The consumer loop: what happens to a message from its delivery to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from functools import partial

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from imagesystem import ids, logs, tracing
from imagesystem.bus import provisioning
from imagesystem.bus.brake import Braking
from imagesystem.bus.messages import Delivery
from imagesystem.bus.pauses import paused_until
from imagesystem.bus.port import GaveUp, Handler
from imagesystem.bus.pulling import RECONNECTED, Puller
from imagesystem.bus.spans import handled, settled
from imagesystem.bus.verdicts import FirstAttempts, final, letter_for, retry_delay, verdict_on
from imagesystem.errors import (
    ImageDeleted,
    ImageSystemError,
    Permanent,
    Transient,
    Unavailable,
    UndecodableEvent,
)
from imagesystem.events import DeadLetter, image_of
from imagesystem.metrics import Metrics
from imagesystem.topology import Consumer

__all__ = ["JetStreamConsumption"]

log = logs.get(__name__)

CHECKPOINT_EVERY_S = 5.0
#: Delays while a dependency is down: the message is held, no attempt is burned.
OUTAGE_FIRST_S, OUTAGE_MAX_S = 0.25, 5.0
#: Between the end of a durable and its recreation.
GONE_S = 1.0


class JetStreamConsumption:
    """A durable consumer at work in this process; see `imagesystem.bus.Consumption`."""

    def __init__(
        self,
        client: Client,
        consumer: Consumer,
        handler: Handler,
        *,
        gave_up: GaveUp | None,
        park: Callable[[DeadLetter], Awaitable[object]],
        measures: Metrics,
        braking: Braking | None = None,
    ) -> None:
        self._client = client
        self._consumer = consumer
        self._handler = handler
        self._gave_up = gave_up
        self._park = park
        self._measures = measures
        self._braking = braking
        self._first = FirstAttempts()
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._news = asyncio.Event()
        self._puller = Puller(client, consumer, on_message=self._begin, on_news=self._news.set)
        self._outages: dict[str, int] = {}
        self._broken: str | None = "starting"
        self._paused: datetime | None = None
        self._loops: list[asyncio.Task[None]] = []

    @property
    def healthy(self) -> str | None:
        """None while it works, else one line that says what it waits for."""
        if self._outages:
            return f"waiting for {', '.join(sorted(self._outages))}"
        if self._broken is None and self._braking is not None:
            return self._braking.line
        return self._broken

    async def start(self) -> None:
        """Make the durable consumer if it is not there, and begin to pull."""
        make = partial(provisioning.ensure_consumer, self._client, self._consumer)
        await provisioning.patiently(make)
        await self._puller.start()
        self._broken = None
        self._loops = [
            asyncio.create_task(self._pull_loop(), name=f"pull {self._consumer.name}"),
            asyncio.create_task(self._checkpoint_loop(), name=f"mark {self._consumer.name}"),
        ]

    async def stop(self) -> None:
        """Stop fetching, let the running handlers finish, flush their acks."""
        self._stopping.set()
        self._news.set()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self._puller.stop()
        if self._running:
            await asyncio.wait(self._running, timeout=self._consumer.deadline_s)
        for task in self._running:
            task.cancel()
        with suppress(nats.errors.Error, TimeoutError):
            await provisioning.checkpoint(self._client, self._consumer)
            await self._client.flush(timeout=5)

    async def _pull_loop(self) -> None:
        while not self._stopping.is_set():
            self._news.clear()
            try:
                if self._puller.gone is not None:
                    await self._recover(self._puller.gone)
                elif not self._outages:
                    # While a dependency is down, what is in hand is held; nothing is fetched.
                    await self._puller.pull(self._consumer.concurrency - len(self._running))
                if self._braking is not None:
                    await self._braking.look()
            except (ImageSystemError, nats.errors.Error, OSError) as error:
                self._puller.begin_anew()
                self._broken = f"{self._consumer.name}: {error}"
                await self._wait(self._stopping, 1.0)
            await self._wait(self._news, 1.0)

    async def _recover(self, why: str) -> None:
        """Make sure that the durable exists, and begin anew."""
        if why != RECONNECTED:
            # A server says that a consumer is gone before it has removed its files: those of one
            # made anew at once would go with them.
            self._broken = f"{self._consumer.name}: {why}"
            if await self._wait(self._stopping, GONE_S):
                return
        make = provisioning.ensure_consumer
        created = await make(self._client, self._consumer, paused_until=self._paused)
        self._puller.begin_anew()
        self._broken = None
        log.warning("consumer_recreated" if created else "pull_renewed", why=why)

    async def _checkpoint_loop(self) -> None:
        while not await self._wait(self._stopping, CHECKPOINT_EVERY_S):
            with suppress(ImageSystemError, nats.errors.Error):
                info = await provisioning.checkpoint(self._client, self._consumer)
                self._paused = paused_until(info)
                self._measures.pending.labels(self._consumer.name).set(info["num_pending"])
                self._measures.unacknowledged.labels(self._consumer.name).set(
                    info["num_ack_pending"]
                )

    @staticmethod
    async def _wait(event: asyncio.Event, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
        return event.is_set()

    def _begin(self, message: Msg) -> None:
        task = asyncio.create_task(self._deliver(message))
        self._running.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._news.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # Not acknowledged: the server delivers it again after ack_wait.
            log.error("delivery_failed", consumer=self._consumer.name, exc_info=error)

    async def _deliver(self, message: Msg) -> None:
        delivery = Delivery.of(message)
        name, image_id = self._consumer.name, image_of(delivery.subject)
        structlog.contextvars.clear_contextvars()
        with (
            tracing.entering(delivery.headers, *handled(delivery, self._consumer)) as span,
            structlog.contextvars.bound_contextvars(consumer=name, image_id=image_id),
            self._measures.in_flight.labels(name).track_inprogress(),
        ):
            self._measures.pending.labels(name).set(message.metadata.num_pending)
            if delivery.attempts == 1:
                age = (ids.now() - delivery.published_at).total_seconds()
                self._measures.event_age.labels(name).observe(max(0.0, age))
            beat = asyncio.create_task(self._heartbeat(message))
            started = time.perf_counter()
            try:
                outcome = await self._settle(message, delivery)
            finally:
                beat.cancel()
            seconds = time.perf_counter() - started
            settled(span, outcome)
            self._measures.handled.labels(name, outcome).inc()
            self._measures.handling_seconds.labels(name).observe(seconds)
            log.debug(
                "event_handled",
                subject=delivery.subject,
                sequence=delivery.sequence,
                outcome=outcome,
                ms=round(seconds * 1000, 2),
            )

    async def _heartbeat(self, message: Msg) -> None:
        while True:
            await asyncio.sleep(self._consumer.ack_wait_s / 3)
            with suppress(nats.errors.Error, OSError):
                await message.in_progress()

    async def _settle(self, message: Msg, delivery: Delivery) -> str:
        """Handle one delivery to its end: ack, nak with a delay, or dead letter and term."""
        limit = self._consumer.attempts
        self._first.begun(delivery)
        if delivery.attempts > limit:
            # Whoever had it before died with it; it is parked before any handler code runs.
            verdict: Transient | Permanent = Permanent(
                f"{delivery.attempts - 1} deliveries without an answer", code="attempts_exhausted"
            )
        else:
            outcome = await self._held(lambda: self._attempt(delivery))
            if outcome is None:
                await message.ack()
                await self._settled(delivery, None)
                return "done"
            verdict = outcome
        if isinstance(verdict, ImageDeleted):
            await message.ack()
            await self._settled(delivery, None)
            return "gone"
        if isinstance(verdict, Unavailable):  # stopping while a dependency is down
            await message.nak(delay=1)
            return "returned"
        if isinstance(verdict, Transient) and delivery.attempts < limit:
            delay = retry_delay(self._consumer, delivery.attempts)
            log.warning(
                "event_retried",
                subject=delivery.subject,
                code=verdict.code,
                error=verdict.message,
                attempts=delivery.attempts,
                delay_s=round(delay, 2),
                exc_info=verdict.__cause__ if verdict.code == "unexpected_error" else None,
            )
            await message.nak(delay=delay)
            return "retried"
        return await self._bury(message, delivery, verdict)

    async def _bury(self, message: Msg, delivery: Delivery, verdict: Transient | Permanent) -> str:
        """Dead letter first, then the failed fact, then term: a crash repeats, never loses."""
        letter = letter_for(self._consumer, delivery, verdict, first_at=self._first.of(delivery))
        refused = await self._held(lambda: self._tell(letter))
        if refused is not None:
            # Without a letter it must not be ended: that would lose it.
            if not isinstance(refused, Unavailable):
                log.error("letter_refused", subject=delivery.subject, error=refused.message)
            await message.nak(delay=retry_delay(self._consumer, delivery.attempts))
            return "returned"
        log.error(
            "event_dead",
            subject=delivery.subject,
            code=verdict.code,
            error=verdict.message,
            attempts=delivery.attempts,
            letter_id=letter.letter_id,
        )
        await self._held(lambda: self._say_gave_up(delivery, verdict))
        await message.term()
        await self._settled(delivery, verdict)
        return "dead"

    async def _settled(self, delivery: Delivery, verdict: Transient | Permanent | None) -> None:
        self._first.ended(delivery)
        if self._braking is not None:
            await self._braking.settled(verdict)

    async def _attempt(self, delivery: Delivery) -> None:
        async with asyncio.timeout(self._consumer.deadline_s):
            await self._handler(delivery.decoded())

    async def _tell(self, letter: DeadLetter) -> None:
        await self._park(letter)

    async def _say_gave_up(self, delivery: Delivery, verdict: Transient | Permanent) -> None:
        if self._gave_up is None or isinstance(verdict, UndecodableEvent):
            return
        await self._gave_up(delivery.decoded(), final(verdict), delivery.attempts)

    async def _held(self, action: Callable[[], Awaitable[None]]) -> Transient | Permanent | None:
        """Do it, and again while a dependency is down: the message is held, fetching stops."""
        delay = OUTAGE_FIRST_S
        while True:
            try:
                await action()
            except Exception as error:  # noqa: BLE001  every error is a verdict
                verdict = verdict_on(error)
            else:
                return None
            if not isinstance(verdict, Unavailable):
                return verdict
            name = verdict.dependency
            self._outages[name] = self._outages.get(name, 0) + 1
            if self._outages[name] == 1:
                log.warning("dependency_down", dependency=name, error=verdict.message)
            stopping = await self._wait(self._stopping, delay)
            self._outages[name] -= 1
            if not self._outages[name]:
                del self._outages[name]
                self._news.set()
            if stopping:
                return verdict
            delay = min(delay * 2, OUTAGE_MAX_S)
