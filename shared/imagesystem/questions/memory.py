"""The in-memory twin of questions: the same bytes, no server. For tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from imagesystem.errors import Unavailable
from imagesystem.questions.port import Answer, Answerer, Question
from imagesystem.questions.replies import Reply, encode, read, refusal, replied
from imagesystem.topology import EXCHANGES

__all__ = ["MemoryQuestions"]


class _Replica:
    """One that answers, and what it has in work."""

    def __init__(self, answer: Answerer) -> None:
        self.answer = answer
        self.work: set[asyncio.Task[Reply]] = set()


class MemoryQuestions:
    """See `imagesystem.questions.Questions`; replicas take turns."""

    def __init__(self) -> None:
        self._replicas: dict[str, list[_Replica]] = {}

    async def ask(self, question: Question) -> Answer:
        """See `Questions.ask`."""
        exchange = EXCHANGES[question.exchange]
        by = exchange.answered_by
        replicas = self._replicas.get(exchange.name)
        if not replicas:
            raise Unavailable(by, f"{by} is away: nobody is there to answer")
        replicas.append(replica := replicas.pop(0))
        if len(replica.work) >= exchange.at_once:
            reply = refusal(503, "too_busy", "too many questions are being answered")
            return read(exchange.name, reply.type, reply.body, by)
        task = asyncio.create_task(replied(exchange.name, encode(question), replica.answer))
        replica.work.add(task)
        task.add_done_callback(replica.work.discard)
        reply = await asyncio.shield(task)
        return read(exchange.name, reply.type, reply.body, by)

    @asynccontextmanager
    async def answering(self, exchange: str, answer: Answerer) -> AsyncIterator[None]:
        """See `Questions.answering`."""
        replica = _Replica(answer)
        replicas = self._replicas.setdefault(EXCHANGES[exchange].name, [])
        replicas.append(replica)
        try:
            yield
        finally:
            replicas.remove(replica)
            await asyncio.gather(*replica.work)
