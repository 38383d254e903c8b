"""The bus on NATS JetStream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import cast

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from imagesystem import ids, logs, tracing
from imagesystem.bus import api
from imagesystem.bus.brake import BrakeLimits, Braking
from imagesystem.bus.consuming import JetStreamConsumption
from imagesystem.bus.history import BATCH, history
from imagesystem.bus.messages import headers_for, stored
from imagesystem.bus.pauses import Pauses
from imagesystem.bus.port import Consumption, GaveUp, Handler, Received, Said, Stretch
from imagesystem.bus.replaying import Replays, WithReplays
from imagesystem.bus.spans import published
from imagesystem.errors import (
    ImageDeleted,
    Transient,
    Unavailable,
    UndecodableEvent,
    WrongSequence,
)
from imagesystem.events import DeadLetter, Event, Fact, Failed, encode, guard_of
from imagesystem.metrics import Metrics
from imagesystem.topology import Consumer, replays_of

__all__ = ["JetStreamBus", "stream_of"]

log = logs.get(__name__)

WRONG_LAST_SEQUENCE = 10071
#: How long one publish is tried before the server counts as unavailable.
PUBLISH_DEADLINE_S = 10.0
PUBLISH_TRY_S = 3.0
#: How long the last word on a failure that is over stays in the log.
RESOLVED_TTL = "1s"


class JetStreamBus:
    """See `imagesystem.bus.Bus`. `source` names the service in what it says.

    `replicas` is that of the streams: with more than one, what a replica lacks the leader has.
    """

    def __init__(
        self,
        client: Client,
        source: str,
        measures: Metrics,
        brake: BrakeLimits | None = None,
        *,
        replicas: int = 1,
    ) -> None:
        self._client = client
        self._replicas = replicas
        self._source = source
        self._measures = measures
        self._brake = brake or BrakeLimits()
        self._pauses = Pauses(client)
        self._consumed: list[Consumer] = []

    @property
    def unhealthy(self) -> str | None:
        """One line while the connection to NATS is down."""
        return None if self._client.is_connected else "not connected to NATS"

    async def publish(self, event: Event, *, expected: int | None = None) -> Said:
        """See `Bus.publish`."""
        subject, event_id, body = event.subject, ids.new_id(), encode(event)
        with tracing.span(*published(subject, event_id, len(body))):
            headers = headers_for(subject, event_id, self._source)
            sequence = await self._say(event, body, headers, expected)
        log.debug("event_published", subject=subject, sequence=sequence)
        return Said(sequence=sequence, event_id=event_id)

    async def _say(
        self, event: Event, body: bytes, headers: dict[str, str], expected: int | None
    ) -> int:
        subject, guard = event.subject, guard_of(event)
        if expected is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(expected)
        elif guard is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = "0"
            headers["Nats-Expected-Last-Subject-Sequence-Subject"] = guard
        if isinstance(event, Failed | DeadLetter) and event.resolved:
            headers["Nats-TTL"] = RESOLVED_TTL
        try:
            return await self._publish(subject, body, headers)
        except api.JetStreamError as error:
            if error.error_code != WRONG_LAST_SEQUENCE:
                raise
            if expected is not None:
                raise WrongSequence(f"{subject} is not at {expected}") from error
            raise ImageDeleted(f"{subject}: the image is deleted") from error

    async def _publish(self, subject: str, body: bytes, headers: dict[str, str]) -> int:
        """Publish until confirmed: the same `Nats-Msg-Id` each time, so that it counts once."""
        deadline = asyncio.get_running_loop().time() + PUBLISH_DEADLINE_S
        delay, tries = 0.1, 0
        while True:
            tries += 1
            try:
                answer = await api.request(
                    self._client, subject, body, headers=headers, timeout_s=PUBLISH_TRY_S
                )
                decoded = msgspec.json.decode(answer.data)
                if "error" in decoded:
                    raise api.refusal(decoded["error"])
                return int(decoded["seq"])
            except api.JetStreamError as error:
                # The server looks at the expected sequence before it looks for duplicates: a
                # publish whose confirmation was lost is refused because of itself.
                if tries > 1 and error.error_code == WRONG_LAST_SEQUENCE:
                    look = api.leader_get if self._replicas > 1 else api.direct_get
                    held = await look(self._client, stream_of(subject), subject)
                    ours = headers["Nats-Msg-Id"]
                    if held is not None and (held.headers or {}).get("Nats-Msg-Id") == ours:
                        return stored(held).sequence
                raise
            except (Unavailable, Transient) as error:
                retryable = isinstance(error, Unavailable) or error.code == "too_many_requests"
                if not retryable or asyncio.get_running_loop().time() + delay > deadline:
                    raise
                await asyncio.sleep(delay)
                delay = min(delay * 2, 2.0)

    async def latest(self, subject: str) -> Received[Event] | None:
        """See `Bus.latest`."""
        message = await api.direct_get(
            self._client, stream_of(subject), subject, replicas=self._replicas
        )
        return None if message is None else stored(message)

    async def facts(self, image_id: str) -> list[Received[Fact]]:
        """See `Bus.facts`."""
        pattern = f"images.v1.{image_id}.>"
        query = {"multi_last": [pattern], "batch": 10_000}
        found: dict[str, Received[Fact]] = {}
        try:
            async for message in api.direct_get_many(self._client, "IMAGES", query):
                _keep(message, found)
        except api.TooManySubjects:  # an image of more than a thousand variants
            # What is said again meanwhile comes twice: the newer one takes the older one's place.
            async for stretch in self.history(pattern):
                found |= {received.subject: received for received in stretch.facts}
        return sorted(found.values(), key=lambda received: received.sequence)

    def history(
        self, pattern: str = "images.v1.>", *, after: int = 0, batch: int = BATCH
    ) -> AsyncGenerator[Stretch, None]:
        """See `Bus.history`."""
        return history(self._client, stream_of(pattern), pattern, after=after, batch=batch)

    async def head(self) -> int:
        """See `Bus.head`."""
        info = await api.api_call(self._client, "STREAM.INFO.IMAGES")
        return int(info["state"]["last_seq"])

    async def forget(self, pattern: str, *, below: int | None = None) -> int:
        """See `Bus.forget`."""
        body: dict[str, object] = {"filter": pattern}
        if below is not None:
            body["seq"] = below
        answer = await api.api_call(self._client, f"STREAM.PURGE.{stream_of(pattern)}", body)
        return int(answer["purged"])

    async def consume(
        self, consumer: Consumer, handler: Handler, *, gave_up: GaveUp | None = None
    ) -> Consumption:
        """See `Bus.consume`."""
        news = JetStreamConsumption(
            self._client,
            consumer,
            handler,
            gave_up=gave_up,
            park=self.publish,
            measures=self._measures,
            braking=Braking(consumer, self._brake, self._pauses, self._measures),
        )
        again = Replays(self, consumer, handler, gave_up)
        replays = JetStreamConsumption(
            self._client,
            replays_of(consumer),
            again.handle,
            gave_up=again.gave_up,
            park=again.park,
            measures=self._measures,
        )
        await news.start()
        await replays.start()
        self._consumed.append(consumer)
        return WithReplays(news, replays)

    async def pause(self, consumer: Consumer, until: datetime | None) -> None:
        """See `Bus.pause`."""
        await self._pauses.pause(consumer, until)

    async def paused_until(self, consumer: Consumer) -> datetime | None:
        """See `Bus.paused_until`."""
        return await self._pauses.until(consumer)

    async def paused(self) -> dict[str, datetime]:
        """See `Bus.paused`."""
        return await self._pauses.among(self._consumed)


def _keep(message: Msg, found: dict[str, Received[Fact]]) -> None:
    """Keep the fact in a message, unless a newer version of the contract is needed to read it."""
    try:
        received = cast("Received[Fact]", stored(message))
    except UndecodableEvent as error:
        log.info("fact_passed_over", error=error.message)
    else:
        found[received.subject] = received


def stream_of(subject: str) -> str:
    """Return the stream that keeps what is said on `subject`."""
    return {"images": "IMAGES", "commands": "COMMANDS", "dead": "DEAD_LETTERS"}[
        subject.partition(".")[0]
    ]
