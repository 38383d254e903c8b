"""What is waited for: the answer to a request, or a number of them."""

from __future__ import annotations

import asyncio

from nats.aio.msg import Msg

from imagesystem.errors import Unavailable, Unheard
from imagesystem.unheard import NOBODY

__all__ = ["PATIENCE_S", "Answer", "Answers", "status_of", "unavailable", "unheard"]

#: Seconds of silence after which the server is taken for unavailable.
PATIENCE_S = 5.0


def status_of(message: Msg) -> str:
    """Return the status of a message that carries one and no body, else an empty string."""
    if message.data or not message.headers:
        return ""
    return message.headers.get("Status", "")


def unavailable(error: BaseException | str) -> Unavailable:
    """Return the error that says that the server, or what is wanted of it, is not there."""
    text = error if isinstance(error, str) else str(error) or type(error).__name__
    return Unavailable("nats", f"the object store does not answer: {text}")


def unheard() -> Unheard:
    """Return the error that says that nobody listens for such a request."""
    return Unheard("nats", "the object store does not answer: nobody serves it")


class Answer:
    """The one message that answers a request."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._message: asyncio.Future[Msg] = self._loop.create_future()

    def receive(self, _index: int, message: Msg) -> None:
        """Take the first message."""
        if not self._message.done():
            self._message.set_result(message)

    async def wait(self) -> Msg:
        """Return it; raises `Unavailable` when it does not come in time."""
        # One timer: this is waited for so often that `asyncio.timeout` shows.
        timer = self._loop.call_later(PATIENCE_S, self._give_up)
        try:
            return await self._message
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        if not self._message.done():
            self._message.set_exception(unavailable(f"no answer in {PATIENCE_S:g} s"))


class Answers:
    """The messages that answer a batched direct get, until it ends or enough have come."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._messages: list[Msg] = []
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[list[Msg]] = self._loop.create_future()

    def receive(self, _index: int, message: Msg) -> None:
        """Take one message."""
        if self._done.done():
            return
        status = status_of(message)
        if not status:
            self._messages.append(message)
        elif status == NOBODY:
            self._done.set_exception(unheard())
            return
        elif status not in {"204", "404"}:
            description = (message.headers or {}).get("Description", "")
            self._done.set_exception(unavailable(f"refused with {status} {description}"))
            return
        if status or len(self._messages) == self._count:
            self._done.set_result(self._messages)

    async def wait(self) -> list[Msg]:
        """Return them; raises `Unavailable` when nothing comes for a while."""
        timer = self._loop.call_later(PATIENCE_S, self._check, 0)
        try:
            return await self._done
        finally:
            timer.cancel()

    def _check(self, before: int) -> None:
        if self._done.done():
            return
        if len(self._messages) == before:
            self._done.set_exception(unavailable(f"silent for {PATIENCE_S:g} s"))
        else:
            self._loop.call_later(PATIENCE_S, self._check, len(self._messages))
