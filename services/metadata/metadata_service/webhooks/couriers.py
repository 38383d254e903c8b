"""The courier of one webhook: reads on in the log, delivers, tries again later.

A webhook has a place in the log and a few deliveries that are to be tried again, and that is all
there is of it: what an endpoint misses while it is down waits in the log, in its latest state.
Nobody else waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec
from imagesystem import ids, logs
from imagesystem.bus import Bus
from imagesystem.errors import ImageSystemError
from imagesystem.events import event_type

from metadata_service.feeds.reading import Log, Reader
from metadata_service.feeds.selection import Selection, types_of
from metadata_service.feeds.tail import Recent, recent_of
from metadata_service.measures import Measures
from metadata_service.webhooks.endpoints import Answer, Endpoints
from metadata_service.webhooks.records import Delivery, Progress, Webhook
from metadata_service.webhooks.retries import Retries
from metadata_service.webhooks.shelf import Shelf

__all__ = ["Courier", "Round", "attempted", "delivery_of"]

log = logs.get(__name__)

#: Deliveries to one endpoint at once, and bytes of facts taken from the log for it at once.
AT_ONCE, CHUNK_BYTES = 4, 32 * 1024
#: Deliveries that wait to be tried again; with so many, nothing new is taken from the log.
MOST_PENDING = 50
LONGEST_WAIT_S = 30.0
PRUNE_EVERY = 50
GONE = 410


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What all couriers of a process share."""

    bus: Bus
    log: Log
    shelf: Shelf
    endpoints: Endpoints
    retries: Retries
    measures: Measures
    clock: Callable[[], datetime] = ids.now


def delivery_of(webhook: Webhook, recent: Recent, now: datetime) -> Delivery:
    """Return the delivery of a fact, before its first attempt."""
    plain = recent.event_id.replace("-", "").replace("_", "")
    usable = plain.isascii() and plain.isalnum() and len(recent.event_id) <= 80
    return Delivery(
        delivery_id=recent.event_id if usable else str(recent.sequence),
        webhook_id=webhook.webhook_id,
        type=event_type(recent.subject),
        subject=recent.subject,
        sequence=recent.sequence,
        status="pending",
        attempts=0,
        first_at=now,
        last_at=now,
    )


def attempted(
    delivery: Delivery, answer: Answer, now: datetime, next_at: datetime | None
) -> Delivery:
    """Return the delivery after an attempt; `next_at` is of no concern if it succeeded."""
    retried = not answer.delivered and next_at is not None
    return msgspec.structs.replace(
        delivery,
        status="delivered" if answer.delivered else "pending" if retried else "failed",
        attempts=delivery.attempts + 1,
        last_at=now,
        next_at=next_at if retried else None,
        status_code=answer.status_code,
        error=answer.error,
        duration_ms=answer.duration_ms,
    )


class Courier:
    """Delivers to one webhook, as it was when the courier set out."""

    def __init__(self, webhook: Webhook, round_: Round) -> None:
        self.webhook = webhook
        self.bell = asyncio.Event()
        self._round = round_
        self._shelf = round_.shelf
        self._pending: dict[str, Delivery] = {}
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._progress = Progress(place=webhook.begins_after)
        self._rest_until: datetime | None = None
        self._settled = 0
        #: Delivered, but no place beyond it is written down yet: not to be sent again.
        self._unnoted: set[str] = set()
        self._disabled = False
        self._stopping = False
        selection = Selection(types=types_of(webhook.facts))
        self._reader = Reader(round_.log, selection, webhook.begins_after)

    def told(self, new: list[Recent]) -> None:
        """Go on if there is something for this webhook in what is new."""
        if any(self._reader.wants(recent) for recent in new):
            self.bell.set()

    def stop(self) -> None:
        """End once what is under way is done and written down."""
        self._stopping = True
        self.bell.set()

    async def run(self) -> None:
        """Deliver until stopped, or until the webhook is disabled."""
        started = False
        while not (self._disabled or self._stopping):
            try:
                if not started:
                    await self._set_out()
                    started = True
                while await self._step() and not self._stopping:
                    pass
            except ImageSystemError as error:
                # NATS is away or full; nothing is lost: the place is where it was.
                log.warning("courier_waits", webhook_id=self.webhook.webhook_id, why=error.message)
                await asyncio.sleep(1)
                continue
            except Exception:  # one webhook's trouble must not end it, nor the others
                log.exception("courier_failed", webhook_id=self.webhook.webhook_id)
                await asyncio.sleep(5)
                continue
            await self._wait()

    async def _set_out(self) -> None:
        progress = await self._shelf.progress(self.webhook)
        if self._round.retries.hopeless(progress.failing_since, self._round.clock()):
            progress = msgspec.structs.replace(progress, failing_since=None)  # enabled once more
        self._progress, self._reader.place = progress, progress.place
        for delivery in await self._shelf.deliveries(self.webhook.webhook_id):
            if delivery.status == "pending":
                self._pending[delivery.delivery_id] = delivery

    async def _wait(self) -> None:
        now = self._round.clock()
        times = [delivery.next_at for delivery in self._pending.values() if delivery.next_at]
        due = min(times, default=None)
        if self._rest_until is not None and now < self._rest_until:
            due = self._rest_until if due is None else max(due, self._rest_until)
        seconds = LONGEST_WAIT_S if due is None else (due - now).total_seconds()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(max(seconds, 0.01), LONGEST_WAIT_S)):
                await self.bell.wait()

    async def _step(self) -> bool:
        """Do what is to be done now; return whether there may be more."""
        if self._stopping:
            return False
        self.bell.clear()
        now = self._round.clock()
        if self._disabled or (self._rest_until is not None and now < self._rest_until):
            return False
        due = [d for d in self._pending.values() if d.next_at is None or d.next_at <= now]
        if due:
            await self._all(self._retry(delivery) for delivery in due[:AT_ONCE])
            await self._note()
            return True
        if len(self._pending) >= MOST_PENDING:
            return False
        return await self._go_on(now)

    async def _go_on(self, now: datetime) -> bool:
        reader = self._reader
        began = reader.place
        try:
            new = await reader.next(CHUNK_BYTES, MOST_PENDING - len(self._pending))
            deliveries = [(delivery_of(self.webhook, recent, now), recent.json) for recent in new]
            await self._all(
                self._attempt(delivery, json)
                for delivery, json in deliveries
                if delivery.delivery_id not in self._pending
                and delivery.delivery_id not in self._unnoted
            )
            self._progress = msgspec.structs.replace(self._progress, place=reader.place)
            if new:  # for what is of no concern alone, no place is written down
                await self._note()
        except BaseException:
            reader.place = began  # what was taken and not written down is taken again
            raise
        return not reader.at_end

    async def _all(self, attempts: Iterable[Coroutine[None, None, None]]) -> None:
        for outcome in await asyncio.gather(*attempts, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _retry(self, delivery: Delivery) -> None:
        held = await self._shelf.delivery(delivery.webhook_id, delivery.delivery_id)
        if held is None or held.status != "pending":  # redelivered by hand meanwhile, or too old
            self._pending.pop(delivery.delivery_id, None)
            return
        received = await self._round.bus.latest(delivery.subject)
        if received is None or received.sequence != delivery.sequence:
            self._pending.pop(delivery.delivery_id, None)
            self._round.measures.webhook_attempts.labels("superseded").inc()
            superseded = msgspec.structs.replace(held, status="superseded", next_at=None)
            await self._shelf.keep(superseded)
            return
        await self._attempt(held, recent_of(received).json)

    async def _attempt(self, delivery: Delivery, json: bytes) -> None:
        async with self._at_once:
            webhook = self.webhook
            if self._disabled or self._resting():
                await self._postpone(delivery)
                return
            answer = await self._round.endpoints.send(
                webhook.url, webhook.secret, delivery.delivery_id, json
            )
            await self._settle(delivery, answer)

    def _resting(self) -> bool:
        return self._rest_until is not None and self._round.clock() < self._rest_until

    async def _postpone(self, delivery: Delivery) -> None:
        """Let a delivery wait without an attempt, while the endpoint rests."""
        waiting = msgspec.structs.replace(
            delivery, next_at=self._rest_until, error="the endpoint asked for a rest"
        )
        self._pending[delivery.delivery_id] = waiting
        await self._shelf.keep(waiting)

    async def _settle(self, delivery: Delivery, answer: Answer) -> None:
        now = self._round.clock()
        next_at = self._round.retries.next_at(
            attempts=delivery.attempts + 1,
            first_at=delivery.first_at,
            now=now,
            rest_s=answer.retry_after_s,
        )
        settled = attempted(delivery, answer, now, next_at)
        if settled.status == "pending":
            self._pending[delivery.delivery_id] = settled
        else:
            self._pending.pop(delivery.delivery_id, None)
            self._unnoted.add(delivery.delivery_id)
        outcome = "retried" if settled.status == "pending" else settled.status
        self._round.measures.webhook_attempts.labels(outcome).inc()
        await self._shelf.keep(settled)
        await self._judge(answer, now)
        self._settled += 1
        if self._settled % PRUNE_EVERY == 0:
            await self._shelf.prune(delivery.webhook_id)

    async def _judge(self, answer: Answer, now: datetime) -> None:
        """Draw conclusions about the endpoint as a whole."""
        if answer.delivered:
            was_failing = self._progress.failing_since is not None
            self._progress = msgspec.structs.replace(
                self._progress, failing_since=None, last_delivered_at=now
            )
            if was_failing:  # it is back: what waits need not wait for its own time
                self._pending = {
                    key: msgspec.structs.replace(delivery, next_at=now)
                    for key, delivery in self._pending.items()
                }
            return
        if answer.retry_after_s:
            self._rest_until = now + timedelta(seconds=answer.retry_after_s)
        since = self._progress.failing_since or now
        self._progress = msgspec.structs.replace(self._progress, failing_since=since)
        if answer.status_code == GONE:
            await self._disable("the endpoint answered 410 Gone")
        elif self._round.retries.hopeless(since, now):
            hours = self._round.retries.disable_s / 3600
            await self._disable(f"nothing arrived for {hours:g} hours; last: {answer.error}")

    async def _disable(self, reason: str) -> None:
        log.warning("webhook_disabled", webhook_id=self.webhook.webhook_id, why=reason)
        self._disabled = True
        await self._shelf.change(
            self.webhook.webhook_id,
            lambda held: msgspec.structs.replace(
                held, enabled=False, disabled_reason=reason, updated_at=self._round.clock()
            ),
        )

    async def _note(self) -> None:
        self._progress = msgspec.structs.replace(self._progress, pending=len(self._pending))
        await self._shelf.keep_progress(self.webhook.webhook_id, self._progress)
        self._unnoted.clear()
