"""Questions on core NATS: a request to a queue group, and one message back to the asker's inbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from imagesystem import logs, tracing
from imagesystem.bus.api import OUTAGES
from imagesystem.errors import Unavailable
from imagesystem.permissions import inbox_prefix
from imagesystem.questions.port import Answer, Answerer, Question
from imagesystem.questions.replies import Reply, encode, read, refusal, replied
from imagesystem.topology import EXCHANGES, Exchange

__all__ = ["NatsQuestions"]

log = logs.get(__name__)

#: Seconds that whoever asks waits longer than whoever answers works: for the way there and back.
GRACE_S = 1.0


class NatsQuestions:
    """See `imagesystem.questions.Questions`. The client is the caller's."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def ask(self, question: Question) -> Answer:
        """See `Questions.ask`."""
        exchange = EXCHANGES[question.exchange]
        by = exchange.answered_by
        with tracing.span(f"ask {exchange.subject}", "client", _said(exchange)):
            try:
                message = await self._client.request(
                    exchange.subject,
                    encode(question),
                    timeout=question.patience_s + GRACE_S,
                    headers={"content-type": "application/json", **tracing.headers()},
                )
            except nats.errors.NoRespondersError as error:
                raise Unavailable(by, f"{by} is away: nobody is there to answer") from error
            except TimeoutError as error:
                raise Unavailable(
                    by, f"{by} has not answered for {question.patience_s:g} s"
                ) from error
            except OUTAGES as error:
                raise Unavailable("nats", f"cannot ask {by}: {type(error).__name__}") from error
            kind = (message.headers or {}).get("ce-type", "")
            return read(exchange.name, kind, message.data, by)

    @asynccontextmanager
    async def answering(self, exchange: str, answer: Answerer) -> AsyncIterator[None]:
        """See `Questions.answering`."""
        asked = EXCHANGES[exchange]
        inboxes = tuple(f"{inbox_prefix(service)}." for service in asked.asked_by)
        work: set[asyncio.Task[None]] = set()

        async def hear(message: Msg) -> None:
            # An answer is allowed anywhere that a question asks for it: not onto a fact.
            if not message.reply.startswith(inboxes):
                log.warning("question_refused", subject=message.subject, reply=message.reply[:100])
                return
            full = len(work) >= asked.at_once
            task = asyncio.create_task(self._refuse(message) if full else self._answer(
                asked, message, answer
            ))  # fmt: skip
            work.add(task)
            task.add_done_callback(work.discard)

        subscription = await self._client.subscribe(asked.subject, queue=asked.answered_by, cb=hear)
        try:
            await self._client.flush()
            yield
        finally:
            with suppress(nats.errors.Error):
                # not `unsubscribe`: what is on its way here comes to nobody else
                await subscription.drain()  # type: ignore[no-untyped-call]
            await asyncio.gather(*work)

    async def _answer(self, exchange: Exchange, message: Msg, answer: Answerer) -> None:
        given = {name.lower(): value for name, value in (message.headers or {}).items()}
        with tracing.entering(given, f"answer {exchange.subject}", "server", _said(exchange)):
            await self._send(message, await replied(exchange.name, message.data, answer))

    async def _refuse(self, message: Msg) -> None:
        await self._send(message, refusal(503, "too_busy", "too many questions are being answered"))

    async def _send(self, message: Msg, reply: Reply) -> None:
        headers = {"ce-type": reply.type, "content-type": "application/json"}
        try:
            await self._client.publish(message.reply, reply.body, headers=headers)
        except (nats.errors.Error, OSError) as error:  # whoever asked stops waiting by themselves
            log.warning("answer_lost", subject=message.subject, error=type(error).__name__)


def _said(exchange: Exchange) -> tracing.Attributes:
    return {"messaging.system": "nats", "messaging.destination.name": exchange.subject}
