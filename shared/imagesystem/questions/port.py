"""The port through which one service asks another, and waits for the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

from imagesystem.events.questions import Embed, Embedded

__all__ = ["Answer", "Answerer", "Question", "Questions"]

#: Everything that can be asked, and what is answered.
Question: TypeAlias = Embed
Answer: TypeAlias = Embedded
#: Answers one question; what it raises is told to whoever asked.
Answerer: TypeAlias = Callable[[Question], Awaitable[Answer]]


class Questions(Protocol):
    """Questions out and answers in; who may ask whom is in `imagesystem.topology.EXCHANGES`."""

    async def ask(self, question: Question) -> Answer:
        """Return the answer of one of the replicas that answer.

        Raises `Unavailable` when none is there, or none answers within the question's patience;
        else what the answerer raised: `Rejected`, or `Transient` with its code.
        """
        ...

    def answering(self, exchange: str, answer: Answerer) -> AbstractAsyncContextManager[None]:
        """Answer what is asked in an exchange for as long as the context is open.

        Each question comes to one replica. What is being answered at the end is finished. With
        as many in work as the exchange allows, more are refused: 503 `too_busy`.
        """
        ...
