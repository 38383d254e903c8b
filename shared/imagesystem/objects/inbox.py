"""Where the server's answers arrive: one subscription for many requests.

The client's own request mux keeps one reply per request and its timeouts leave publishes
unattended; a subscription per request costs two more commands on the wire. Here every request
gets a token under one wildcard inbox, and whoever waits is called for each message of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from imagesystem.objects import answers
from imagesystem.objects.answers import Answer, Answers, status_of, unavailable, unheard
from imagesystem.unheard import NOBODY, until_heard

__all__ = ["Inbox", "Receive"]
#: Bytes waiting to be sent up to which a publish does not wait for them to go.
UNSENT_BYTES = 1024**2

#: Called with the index that stood in the reply subject, and the message; must not raise.
Receive = Callable[[int, Msg], None]


class Inbox:
    """Requests on one connection; the subscription is made when first needed."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._prefix = ""
        self._opened: asyncio.Future[None] | None = None
        self._tokens = 0
        self._waiting: dict[str, Receive] = {}

    def check(self) -> None:
        """Raise `Unavailable` while the connection is down."""
        if not self.client.is_connected:
            raise unavailable("not connected")

    async def open(self) -> None:
        """Subscribe, unless that was done; otherwise the first message sent does it."""
        if self._opened is None:
            self._opened = asyncio.ensure_future(self._subscribe())
        # Shielded: one caller's cancellation must not close the inbox for the others.
        await asyncio.shield(self._opened)

    async def _subscribe(self) -> None:
        self._prefix = self.client.new_inbox() + "."
        try:
            # No limits: what may be under way is bounded by whoever asks, in bytes.
            await self.client.subscribe(
                self._prefix + ">",
                cb=self._dispatch,
                pending_msgs_limit=0,
                pending_bytes_limit=0,
            )
        except nats.errors.Error as error:
            self._opened = None
            raise unavailable(error) from error

    async def _dispatch(self, message: Msg) -> None:
        token, _, index = message.subject[len(self._prefix) :].partition(".")
        receive = self._waiting.get(token)
        if receive is not None:
            receive(int(index), message)

    @contextmanager
    def expect(self, receive: Receive) -> Iterator[str]:
        """Have `receive` called for the answers to requests made with this token."""
        self._tokens += 1
        token = str(self._tokens)
        self._waiting[token] = receive
        try:
            yield token
        finally:
            del self._waiting[token]

    async def send(
        self,
        subject: str,
        payload: bytes | memoryview,
        token: str,
        index: int = 0,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Publish with a reply subject of `token`; raises `Unavailable` when it cannot."""
        if self._opened is None or not self._opened.done():
            await self.open()
        message = self.client.publish(
            subject,
            payload,  # type: ignore[arg-type]  # it is only measured and copied
            reply=f"{self._prefix}{token}.{index}",
            headers=headers,
        )
        try:
            if self.client.pending_data_size + len(payload) < UNSENT_BYTES:
                await message
            else:
                await self._patiently(message)
        except (nats.errors.Error, OSError) as error:
            raise unavailable(error) from error

    async def _patiently(self, sending: Awaitable[None]) -> None:
        """Wait while a full buffer is sent, during which nats-py swallows a cancellation."""
        task = asyncio.current_task()
        cancelling = task.cancelling() if task else 0
        async with asyncio.timeout(answers.PATIENCE_S) as limit:
            await sending
        if task and task.cancelling() > cancelling:
            raise asyncio.CancelledError
        if limit.expired():
            raise unavailable("nothing could be sent")

    async def request(
        self, subject: str, payload: bytes = b"", headers: dict[str, str] | None = None
    ) -> Msg:
        """Return the first answer; raises `Unavailable` when there is none."""

        async def once() -> Msg:
            self.check()
            answer = Answer()
            with self.expect(answer.receive) as token:
                await self.send(subject, payload, token, headers=headers)
                message = await answer.wait()
            if status_of(message) == NOBODY:
                raise unheard()
            return message

        return await until_heard(once)

    async def collect(self, subject: str, payload: bytes, count: int) -> list[Msg]:
        """Return up to `count` messages that answer a batched direct get, in order."""

        async def once() -> list[Msg]:
            self.check()
            collected = Answers(count)
            with self.expect(collected.receive) as token:
                await self.send(subject, payload, token)
                return await collected.wait()

        return await until_heard(once)
