"""Pulling messages of a durable consumer: standing requests, never more than there is room for.

nats-py's `fetch` is not used: after a first message it waits for the rest of its batch until
the timeout, and it hides what the server says about the consumer (deleted, paused, moved).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from imagesystem import logs
from imagesystem.topology import Consumer

__all__ = ["HEARTBEAT_S", "RECONNECTED", "Puller"]

log = logs.get(__name__)

#: A pull request stands this long; the server says that it is alive every `HEARTBEAT_S`.
EXPIRES_S = 30.0
HEARTBEAT_S = 5.0
#: Why nothing comes after the connection was lost: all else is well.
RECONNECTED = "reconnected"


class Puller:
    """Keeps pull requests standing for as many messages as there is room, and hands them over.

    `on_message` is called for every message, `on_news` whenever `pull` should be called again.
    """

    def __init__(
        self,
        client: Client,
        consumer: Consumer,
        *,
        on_message: Callable[[Msg], None],
        on_news: Callable[[], None],
    ) -> None:
        self._client = client
        self._consumer = consumer
        self._on_message = on_message
        self._on_news = on_news
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}"
        self._prefix = client.new_inbox()
        self._subscription: Subscription | None = None
        self._requested: dict[str, int] = {}
        self._count = 0
        self._heard = time.monotonic()
        self._gone: str | None = None
        self._reconnects = client.stats["reconnects"]

    async def start(self) -> None:
        """Subscribe to the inbox that messages will come to."""
        self._subscription = await self._client.subscribe(f"{self._prefix}.*", cb=self._receive)

    async def stop(self) -> None:
        """Unsubscribe: what the server still had on its way is delivered again later."""
        if self._subscription is not None:
            with suppress(nats.errors.Error):
                await self._subscription.unsubscribe()

    @property
    def outstanding(self) -> int:
        """Messages asked for that have not come yet."""
        return sum(self._requested.values())

    @property
    def gone(self) -> str | None:
        """Why nothing will come any more: the consumer is gone, or the server is silent."""
        if self._client.stats["reconnects"] != self._reconnects:
            return RECONNECTED  # the server knows nothing of requests made before
        silence = time.monotonic() - self._heard
        if self._gone is None and self._requested and silence > 2 * HEARTBEAT_S + 1:
            return f"no heartbeat for {silence:.0f} s"
        return self._gone

    def begin_anew(self) -> None:
        """Forget what was asked for: the server does not know of it any more."""
        self._requested.clear()
        self._gone = None
        self._reconnects = self._client.stats["reconnects"]

    async def pull(self, room: int) -> None:
        """Ask for up to `room` messages, less what was asked for already."""
        wanted = room - self.outstanding
        # A standing request for half of the room is enough: many small ones cost more.
        if wanted <= 0 or (self.outstanding and wanted < max(1, room // 2)):
            return
        self._count += 1
        reply = f"{self._prefix}.{self._count}"
        if not self._requested:
            self._heard = time.monotonic()
        self._requested[reply] = wanted
        request = {
            "batch": wanted,
            "expires": int(EXPIRES_S * 1e9),
            "idle_heartbeat": int(HEARTBEAT_S * 1e9),
        }
        await self._client.publish(self._subject, msgspec.json.encode(request), reply=reply)

    async def _receive(self, message: Msg) -> None:
        self._heard = time.monotonic()
        status = (message.headers or {}).get("Status")
        # A message keeps its own subject; only news about a pull has the pull's inbox.
        if status is None or not message.subject.startswith(self._prefix):
            self._count_off()
            self._on_message(message)
        elif status != "100":  # a heartbeat
            self._ended(message.subject, status, (message.headers or {}).get("Description", ""))

    def _count_off(self) -> None:
        for reply in self._requested:  # served in the order asked
            self._requested[reply] -= 1
            if self._requested[reply] <= 0:
                del self._requested[reply]
            return

    def _ended(self, reply: str, status: str, description: str) -> None:
        """408: it expired; 409: consumer deleted, server going; 503: nobody listens there."""
        self._requested.pop(reply, None)
        if status == "503" or (status == "409" and "onsumer" in description):
            self._gone = f"{status} {description}".strip()
        elif status != "408":
            log.info("pull_ended", consumer=self._consumer.name, status=status, why=description)
        self._on_news()
