"""Watching a bucket: an ordered consumer over its descriptions.

The consumer is ephemeral and lives in the server's memory. When a message is missed, the
server falls silent or forgets it (a restart), another one continues after the last message seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.nuid import NUID

from imagesystem import logs
from imagesystem.errors import Unavailable
from imagesystem.objects.inbox import Inbox, status_of
from imagesystem.objects.layout import ApiError, Layout, decode_info
from imagesystem.objects.port import ObjectInfo
from imagesystem.objects.publications import error_of

__all__ = ["watch"]

#: The server says at least this often that it is there, in seconds.
HEARTBEAT_S = 5.0
#: Seconds between attempts to continue while the server is away.
RETRY_S = 1.0
#: Seconds after which the server removes a consumer that nobody listens to.
INACTIVE_S = 60.0

log = logs.get(__name__)


class _Created(msgspec.Struct):
    num_pending: int = 0
    error: ApiError | None = None


class _Delivery(msgspec.Struct):
    """Where a message stands: its sequence in the stream and in the consumer, what follows."""

    stream: int
    consumer: int
    pending: int


def _delivery(reply: str) -> _Delivery:
    # $JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<n>.<sseq>.<cseq>.<time>.<pending>[.…]
    tokens = reply.split(".")
    at = 5 if len(tokens) < 12 else 7
    return _Delivery(int(tokens[at]), int(tokens[at + 1]), int(tokens[at + 3]))


class _Consumer:
    """One ordered consumer: messages in sequence, or the end of it."""

    def __init__(self, inbox: Inbox, layout: Layout) -> None:
        self._inbox = inbox
        self._client: Client = inbox.client
        self._layout = layout
        self._name = NUID().next().decode()
        self._subscription: Subscription | None = None
        self._delivered = 0
        self._reconnects = 0
        self.pending = 0

    async def open(self, after: int) -> None:
        """Start with everything there is, or with what came after a stream sequence."""
        self._inbox.check()
        self._reconnects = self._client.stats["reconnects"]
        subject = self._client.new_inbox()
        self._subscription = await self._client.subscribe(
            subject, pending_msgs_limit=0, pending_bytes_limit=0
        )
        config: dict[str, object] = {
            "name": self._name,
            "deliver_subject": subject,
            "filter_subject": self._layout.descriptions,
            "deliver_policy": "by_start_sequence" if after else "last_per_subject",
            "ack_policy": "none",
            "max_deliver": 1,
            "mem_storage": True,
            "num_replicas": 1,
            "flow_control": True,
            "idle_heartbeat": int(HEARTBEAT_S * 1e9),
            "inactive_threshold": int(INACTIVE_S * 1e9),
        }
        if after:
            config["opt_start_seq"] = after + 1
        answer = await self._inbox.request(
            f"{self._layout.create_consumer}.{self._name}.{self._layout.descriptions}",
            msgspec.json.encode(
                {"stream_name": self._layout.stream, "config": config, "action": "create"}
            ),
        )
        created = msgspec.json.decode(answer.data, type=_Created)
        if created.error is not None:
            raise error_of(created.error, self._layout.stream)
        self.pending = created.num_pending

    async def next(self) -> tuple[_Delivery, Msg] | None:
        """Return the next message, or None when this consumer is of no more use."""
        assert self._subscription is not None  # noqa: S101  opened first
        silence_s = 0.0
        while silence_s < 2 * HEARTBEAT_S:
            try:
                message = await self._subscription.next_msg(timeout=RETRY_S)
            except TimeoutError:
                if self._client.stats["reconnects"] != self._reconnects:
                    return None  # a server that was restarted does not know this consumer
                silence_s += RETRY_S
                continue
            except nats.errors.Error as error:
                raise Unavailable("nats", f"the connection is gone: {error}") from error
            silence_s = 0.0
            if status_of(message) == "100":
                if not await self._alive(message):
                    return None
                continue
            if not message.reply:
                return None
            delivery = _delivery(message.reply)
            if delivery.consumer != self._delivered + 1:
                return None
            self._delivered = delivery.consumer
            return delivery, message
        return None

    async def _alive(self, control: Msg) -> bool:
        """Answer flow control; tell whether a heartbeat knows of nothing that was missed."""
        headers = control.headers or {}
        stalled = control.reply or headers.get("Nats-Consumer-Stalled", "")
        if stalled:
            await self._client.publish(stalled)
        delivered = headers.get("Nats-Last-Consumer")
        return delivered is None or int(delivered) == self._delivered

    async def close(self) -> None:
        """Have the server forget the consumer; it does so by itself when it cannot be told."""
        if self._subscription is None:
            return
        with suppress(Exception):
            await self._subscription.unsubscribe()
            await self._client.publish(f"{self._layout.delete_consumer}.{self._name}")


async def watch(inbox: Inbox, layout: Layout, *, follow: bool) -> AsyncIterator[ObjectInfo | None]:
    """See `Bucket.watch`. The first request must succeed; afterwards it outlives outages."""
    seen, complete = 0, False
    inbox.check()
    while True:
        consumer = _Consumer(inbox, layout)
        try:
            await consumer.open(seen)
            if not complete and not consumer.pending:
                complete = True
                if not follow:
                    return
                yield None
            while (arrived := await consumer.next()) is not None:
                delivery, message = arrived
                seen = delivery.stream
                info = _info(layout, message, seen)
                if info is not None and (complete or not info.deleted):
                    yield info
                if not complete and not delivery.pending:
                    complete = True
                    if not follow:
                        return
                    yield None
        except Unavailable:
            if inbox.client.is_closed or not (seen or complete):
                raise
            log.info("watch_interrupted", bucket=layout.bucket)
            await asyncio.sleep(RETRY_S)
        finally:
            await consumer.close()


def _info(layout: Layout, message: Msg, sequence: int) -> ObjectInfo | None:
    try:
        return decode_info(message.data, sequence=sequence, time="")
    except (msgspec.DecodeError, ValueError) as error:
        log.warning("unreadable_description", bucket=layout.bucket, error=str(error))
        return None
