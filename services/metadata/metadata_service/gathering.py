"""Reads of single items, gathered: many who ask at once cost little more than one.

While reads are under way, whatever is asked for gathers; the next read takes it all. Nobody gets
an answer that was read before the question, so that nothing is ever out of date.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Generic, TypeVar

from imagesystem.errors import Transient

__all__ = ["Gathering"]

V = TypeVar("V")

#: Reads under way: while one is being decoded, the database answers the other.
AT_ONCE = 2
#: Items in one read at most: it answers all of them at once, and the first is not to wait long.
MOST = 32


class Gathering(Generic[V]):
    """Items by key; `read` returns those that there are.

    What is returned may be shared by several who asked, and is not to be changed.
    """

    def __init__(self, read: Callable[[Sequence[str]], Awaitable[Mapping[str, V]]]) -> None:
        self._read = read
        self._waiting: dict[str, list[asyncio.Future[V | None]]] = {}
        self._reading: set[asyncio.Task[None]] = set()
        self._called = False

    async def get(self, key: str) -> V | None:
        """Return an item, None if there is none."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[V | None] = loop.create_future()
        self._waiting.setdefault(key, []).append(answer)
        if not self._called and len(self._reading) < AT_ONCE:
            # Not at once: what arrived in the same turn of the loop is to come along.
            self._called = True
            loop.call_soon(self._begin)
        return await answer

    def _begin(self) -> None:
        self._called = False
        while self._waiting and len(self._reading) < AT_ONCE:
            asked = {key: self._waiting.pop(key) for key in list(islice(self._waiting, MOST))}
            reading = asyncio.ensure_future(self._answer(asked))
            self._reading.add(reading)
            reading.add_done_callback(self._ended)

    def _ended(self, reading: asyncio.Task[None]) -> None:
        self._reading.discard(reading)
        self._begin()

    async def _answer(self, asked: Mapping[str, list[asyncio.Future[V | None]]]) -> None:
        every = [answer for answers in asked.values() for answer in answers]
        try:
            found = await self._read(list(asked))
        except asyncio.CancelledError:
            for answer in every:
                answer.cancel()
            raise
        except Exception as error:  # noqa: BLE001  handed to whoever asked
            if len(asked) > 1 and not isinstance(error, Transient):
                # One of them cannot be read: the others are innocent.
                for key, answers in asked.items():
                    await self._answer({key: answers})
                return
            for answer in every:
                if not answer.done():  # else whoever asked has left
                    answer.set_exception(error)
        else:
            for key, answers in asked.items():
                for answer in answers:
                    if not answer.done():
                        answer.set_result(found.get(key))
