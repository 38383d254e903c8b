"""Watching a bucket: what is there by batched direct gets, changes by an ordered consumer.

The pages are asked for one after the other, which a consumer would need flow control for. The
consumer is ephemeral and lives in the server's memory. When a message is missed, the server
falls silent or forgets it (a restart), it begins again after the last message seen.
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
from imagesystem.objects.answers import status_of
from imagesystem.objects.inbox import Inbox
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

#: Descriptions per page; the server counts what is left for each, so that larger is faster.
PAGE = 4096

log = logs.get(__name__)


class _Created(msgspec.Struct):
    error: ApiError | None = None


class _Delivery(msgspec.Struct):
    """Where a message stands: its sequence in the stream and in the consumer."""

    stream: int
    consumer: int


def _delivery(reply: str) -> _Delivery:
    # $JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<n>.<sseq>.<cseq>.<time>.<pending>[.…]
    tokens = reply.split(".")
    at = 5 if len(tokens) < 12 else 7
    return _Delivery(int(tokens[at]), int(tokens[at + 1]))


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

    async def open(self, after: int) -> None:
        """Start with what came after a stream sequence."""
        self._inbox.check()
        self._reconnects = self._client.stats["reconnects"]
        subject = self._client.new_inbox()
        self._subscription = await self._client.subscribe(
            subject, pending_msgs_limit=0, pending_bytes_limit=0
        )
        config = {
            "name": self._name,
            "deliver_subject": subject,
            "filter_subject": self._layout.descriptions,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": after + 1,
            "ack_policy": "none",
            "max_deliver": 1,
            "mem_storage": True,
            "num_replicas": 1,
            "idle_heartbeat": int(HEARTBEAT_S * 1e9),
            "inactive_threshold": int(INACTIVE_S * 1e9),
        }
        answer = await self._inbox.request(
            f"{self._layout.create_consumer}.{self._name}.{self._layout.descriptions}",
            msgspec.json.encode(
                {"stream_name": self._layout.stream, "config": config, "action": "create"}
            ),
        )
        created = msgspec.json.decode(answer.data, type=_Created)
        if created.error is not None:
            raise error_of(created.error, self._layout.stream)

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
            if status_of(message) == "100":  # a heartbeat
                delivered = (message.headers or {}).get("Nats-Last-Consumer")
                if delivered is not None and int(delivered) != self._delivered:
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

    async def close(self) -> None:
        """Have the server forget the consumer; it does so by itself when it cannot be told."""
        if self._subscription is None:
            return
        with suppress(Exception):
            await self._subscription.unsubscribe()
            await self._client.publish(f"{self._layout.delete_consumer}.{self._name}")


async def _page(inbox: Inbox, layout: Layout, after: int) -> list[Msg]:
    request = {"seq": after + 1, "batch": PAGE, "next_by_subj": layout.descriptions}
    return await inbox.collect(layout.direct, msgspec.json.encode(request), PAGE)


async def watch(inbox: Inbox, layout: Layout, *, follow: bool) -> AsyncIterator[ObjectInfo | None]:
    """See `Bucket.watch`. The first request must succeed; afterwards it outlives outages."""
    seen, reached, complete = 0, False, False
    while True:
        consumer = _Consumer(inbox, layout)
        try:
            while page := await _page(inbox, layout, seen):
                reached = True
                for message in page:
                    headers = message.headers or {}
                    seen = int(headers.get("Nats-Sequence", "0"))
                    info = _info(layout, message, seen, headers.get("Nats-Time-Stamp", ""))
                    if info is not None and (complete or not info.deleted):
                        yield info
            if not complete:
                reached = complete = True
                if not follow:
                    return
                yield None
            await consumer.open(seen)
            while (arrived := await consumer.next()) is not None:
                delivery, message = arrived
                seen = delivery.stream
                info = _info(layout, message, seen, "")
                if info is not None:
                    yield info
        except Unavailable:
            if inbox.client.is_closed or not reached:
                raise
            log.info("watch_interrupted", bucket=layout.bucket)
            await asyncio.sleep(RETRY_S)
        finally:
            await consumer.close()


def _info(layout: Layout, message: Msg, sequence: int, time: str) -> ObjectInfo | None:
    try:
        return decode_info(message.data, sequence=sequence, time=time)
    except (msgspec.DecodeError, ValueError) as error:
        log.warning("unreadable_description", bucket=layout.bucket, error=str(error))
        return None
