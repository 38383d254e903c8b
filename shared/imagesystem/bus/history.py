"""The log read in order: batch by batch, by direct gets.

A consumer could be pushed to faster, but whoever may make consumers on the log chooses where
they deliver to, and so could overwrite facts. Direct gets need no more than what a service may
do anyway. A batch has no flow control, so its bytes are bounded; the next one is asked for while
the one before is being used.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from imagesystem.bus import api
from imagesystem.bus.messages import stored
from imagesystem.bus.port import Received, Stretch, Unread
from imagesystem.errors import Unavailable, UndecodableEvent
from imagesystem.events import Fact

__all__ = ["BATCH", "history"]

#: Facts and bytes in one batch at most; two batches are in memory at a time.
BATCH = 4096
BATCH_BYTES = 8 * 1024**2
#: Messages decoded before others get their turn.
TURN = 128
NO_MESSAGE = 10037
#: Between looks at a replica that lacks what the leader has.
LAG_S = 0.05


class _Batch:
    """One answer of many messages, as it arrives."""

    def __init__(self) -> None:
        self.messages: list[Msg] = []
        self.heard = asyncio.Event()
        self.end: Msg | None = None

    def take(self, message: Msg) -> None:
        status = (message.headers or {}).get("Status")
        if status is None:
            self.messages.append(message)
            return
        self.end = message
        self.heard.set()

    async def whole(self, stream: str) -> list[Msg]:
        """Return the messages once all are here; raises `Unavailable` when they stay away."""
        while self.end is None:
            before = len(self.messages)
            try:
                async with asyncio.timeout(api.API_TIMEOUT_S):
                    await self.heard.wait()
            except TimeoutError:
                if len(self.messages) == before:
                    raise Unavailable("nats", f"direct get of {stream}: no answer") from None
        headers = self.end.headers or {}
        if headers["Status"] not in ("204", "404"):
            raise Unavailable("nats", f"direct get of {stream}: status {headers['Status']}")
        last = _sequence(self.messages[-1]) if self.messages else 0
        if headers["Status"] == "204" and int(headers.get("Nats-Last-Sequence", last)) != last:
            raise Unavailable("nats", f"direct get of {stream}: a part of the answer is missing")
        return self.messages


class _Reader:
    """Direct gets on a subscription of their own, one at a time."""

    def __init__(self, client: Client, stream: str, pattern: str) -> None:
        self._client, self._stream, self._pattern = client, stream, pattern
        self._inbox = client.new_inbox()
        self._batches: dict[str, _Batch] = {}

    async def open(self) -> Any:
        """Subscribe; returns the subscription."""
        # No limits: what is under way is bounded by what is asked for.
        return await self._client.subscribe(
            f"{self._inbox}.*", cb=self._receive, pending_msgs_limit=0, pending_bytes_limit=0
        )

    async def _receive(self, message: Msg) -> None:
        batch = self._batches.get(message.subject)
        if batch is not None:
            batch.take(message)

    async def ask(self, after: int, count: int) -> _Batch:
        """Ask for what follows the sequence `after`."""
        reply, batch = f"{self._inbox}.{after}", _Batch()
        self._batches = {reply: batch}
        query = {
            "seq": after + 1,
            "batch": count,
            "max_bytes": BATCH_BYTES,
            "next_by_subj": self._pattern,
        }
        subject = f"$JS.API.DIRECT.GET.{self._stream}"
        await self._client.publish(subject, msgspec.json.encode(query), reply=reply)
        return batch

    async def ended(self, after: int) -> bool:
        """Ask the leader whether nothing follows: a replica may not have it yet."""
        query = {"seq": after + 1, "next_by_subj": self._pattern}
        try:
            await api.api_call(self._client, f"STREAM.MSG.GET.{self._stream}", query)
        except api.JetStreamError as error:
            if error.error_code != NO_MESSAGE:
                raise
            return True
        return False


async def history(
    client: Client, stream: str, pattern: str, *, after: int, batch: int = BATCH
) -> AsyncGenerator[Stretch, None]:
    """Yield what the stream holds on `pattern`; see `Bus.history`."""
    reader = _Reader(client, stream, pattern)
    try:
        subscription = await reader.open()
        try:
            asked = await reader.ask(after, batch)
            while True:
                messages = await asked.whole(stream)
                if not messages:
                    if await reader.ended(after):
                        return
                    await asyncio.sleep(LAG_S)
                    asked = await reader.ask(after, batch)
                    continue
                after = _sequence(messages[-1])
                asked = await reader.ask(after, batch)
                yield await _stretch(messages)
        finally:
            if not client.is_closed:
                await subscription.unsubscribe()
    except api.OUTAGES as error:
        raise Unavailable("nats", f"direct get of {stream}: {type(error).__name__}") from error
    except nats.errors.Error as error:
        raise Unavailable("nats", f"direct get of {stream}: {error}") from error


def _sequence(message: Msg) -> int:
    return int((message.headers or {})["Nats-Sequence"])


async def _stretch(messages: list[Msg]) -> Stretch:
    facts, unread = [], []
    for number, message in enumerate(messages):
        if number % TURN == TURN - 1:
            await asyncio.sleep(0)
        try:
            facts.append(cast("Received[Fact]", stored(message)))
        except UndecodableEvent as error:
            subject = (message.headers or {})["Nats-Subject"]
            unread.append(Unread(subject=subject, sequence=_sequence(message), why=error.message))
    pending = int((messages[-1].headers or {}).get("Nats-Num-Pending", "0"))
    return Stretch(facts=facts, unread=unread, last=_sequence(messages[-1]), pending=pending)
