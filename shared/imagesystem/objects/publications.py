"""Publishes under way: a window of messages that the server has not confirmed yet."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import msgspec
from nats.aio.msg import Msg

from imagesystem.errors import ImageSystemError, Permanent, StoreFull, Unavailable, WrongSequence
from imagesystem.objects.answers import status_of
from imagesystem.objects.credit import Credit
from imagesystem.objects.inbox import Inbox
from imagesystem.objects.layout import ApiError, decode_ack

__all__ = ["Publications", "error_of"]

#: Messages of one object that may be unconfirmed at once.
WINDOW = 16
#: Seconds without any confirmation after which what is unconfirmed is sent again.
ACK_WAIT_S = 2.0
#: Seconds after which a message that is still unconfirmed is given up.
GIVE_UP_S = 10.0
#: Seconds before a message is sent again that the server had no room for; doubled each time.
BACKOFF_S = 0.05
BACKOFF_MAX_S = 1.0

TOO_MANY_REQUESTS = 429
WRONG_LAST_SEQUENCE = 10071
STREAM_NOT_FOUND = 10059
STORE_FAILED = 10077
#: JetStream error codes that mean: no room (account, server, memory, disk).
FULL = frozenset({10002, 10023, 10028, 10047})


def error_of(refusal: ApiError, subject: str) -> ImageSystemError:
    """Return the error that a refusal of the JetStream API means."""
    text = f"{subject}: {refusal.description} ({refusal.err_code})"
    if refusal.err_code == WRONG_LAST_SEQUENCE:
        return WrongSequence(text)
    full = "maximum" in refusal.description or "no space" in refusal.description
    if refusal.err_code in FULL or (refusal.err_code == STORE_FAILED and full):
        return StoreFull(text)
    if refusal.code >= 500 or refusal.err_code == STREAM_NOT_FOUND:
        return Unavailable("nats", text)
    return Permanent(text, code="store_refused")


class _Publication(msgspec.Struct):
    subject: str
    payload: bytes | memoryview
    headers: dict[str, str]
    first_at: float
    sent_at: float = 0
    attempts: int = 0
    refused: bool = False


class Publications:
    """The messages of one object on their way into its stream; used as a context.

    Each carries its own `Nats-Msg-Id`, so that sending it again is harmless.
    """

    def __init__(self, inbox: Inbox, credit: Credit) -> None:
        self._inbox = inbox
        self._credit = credit
        self._unconfirmed: dict[int, _Publication] = {}
        self._sequences: list[int] = []
        self._failure: ImageSystemError | None = None
        self._progress: asyncio.Future[None] | None = None
        self._enough = 0
        self._refused = False
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._token = self._stack.enter_context(self._inbox.expect(self._receive))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
        for index in list(self._unconfirmed):
            self._settle(index)

    async def publish(
        self,
        subject: str,
        payload: bytes | memoryview,
        message_id: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send a message as soon as there is room; raises what became of an earlier one."""
        await self._until(WINDOW - 1)
        await self._take(len(payload))
        index = len(self._sequences)
        self._sequences.append(0)
        publication = self._unconfirmed[index] = _Publication(
            subject=subject,
            payload=payload,
            headers={**(headers or {}), "Nats-Msg-Id": message_id},
            first_at=asyncio.get_running_loop().time(),
        )
        await self._send(index, publication)

    async def confirmed(self) -> list[int]:
        """Wait until everything is confirmed; return the stream sequences in order of sending."""
        await self._until(0)
        return self._sequences

    async def abandoned(self) -> None:
        """Wait until the server has said something about everything, but not for ever."""
        for index in [i for i, p in self._unconfirmed.items() if p.refused]:
            self._settle(index)
        while self._unconfirmed:
            self._progress = asyncio.get_running_loop().create_future()
            done, _ = await asyncio.wait({self._progress}, timeout=ACK_WAIT_S)
            if not done:
                return

    async def _take(self, size: int) -> None:
        turn = self._credit.take(size)
        if turn is None:
            return
        try:
            while not turn.done():
                await self._wait(turn)
        except BaseException:
            self._credit.withdraw(turn, size)
            raise

    async def _until(self, enough: int) -> None:
        while True:
            if self._failure is not None:
                raise self._failure
            if self._refused:
                await self._send_refused()
            if len(self._unconfirmed) <= enough:
                return
            self._enough = enough
            self._progress = asyncio.get_running_loop().create_future()
            await self._wait(self._progress)

    async def _wait(self, future: asyncio.Future[None]) -> None:
        """Wait for `future`; every `ACK_WAIT_S`, send again what was confirmed by nobody."""
        done, _ = await asyncio.wait({future}, timeout=ACK_WAIT_S)
        if done:
            return
        overdue = asyncio.get_running_loop().time() - ACK_WAIT_S / 2
        for index, publication in list(self._unconfirmed.items()):
            if publication.sent_at - publication.first_at > GIVE_UP_S:
                raise Unavailable("nats", f"{publication.subject}: not confirmed by the server")
            if publication.sent_at < overdue:
                await self._send(index, publication)

    async def _send_refused(self) -> None:
        self._refused = False
        refused = [(i, p) for i, p in self._unconfirmed.items() if p.refused]
        if refused:
            await asyncio.sleep(min(BACKOFF_S * 2 ** refused[0][1].attempts, BACKOFF_MAX_S))
        for index, publication in refused:
            await self._send(index, publication)

    async def _send(self, index: int, publication: _Publication) -> None:
        publication.attempts += 1
        publication.refused = False
        publication.sent_at = asyncio.get_running_loop().time()
        try:
            await self._inbox.send(
                publication.subject,
                publication.payload,
                self._token,
                index,
                publication.headers,
            )
        except Unavailable:
            # A reconnect may be under way: it is sent again, like one that was lost.
            if publication.sent_at - publication.first_at > GIVE_UP_S:
                raise

    def _receive(self, index: int, message: Msg) -> None:
        publication = self._unconfirmed.get(index)
        if publication is None:
            return  # confirmed twice: it had been sent twice
        if status_of(message):
            self._failure = self._failure or Unavailable("nats", "no stream takes the object")
            self._settle(index)
            return
        try:
            ack = decode_ack(message.data)
        except msgspec.DecodeError as error:
            self._failure = self._failure or Unavailable("nats", f"unreadable answer: {error}")
            self._settle(index)
            return
        if ack.error is None:
            self._sequences[index] = ack.seq
            self._settle(index)
        elif ack.error.code == TOO_MANY_REQUESTS:
            self._refused = publication.refused = True
            self._wake()
        else:
            self._failure = self._failure or error_of(ack.error, publication.subject)
            self._settle(index)

    def _settle(self, index: int) -> None:
        self._credit.give(len(self._unconfirmed.pop(index).payload))
        if self._failure is not None or len(self._unconfirmed) <= self._enough:
            self._wake()

    def _wake(self) -> None:
        if self._progress is not None and not self._progress.done():
            self._progress.set_result(None)
