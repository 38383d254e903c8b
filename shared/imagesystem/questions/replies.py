"""Answers on the wire: a type in a header, a struct as JSON; an error is an answer as well."""

from __future__ import annotations

import asyncio

import msgspec

from imagesystem import logs
from imagesystem.errors import ImageSystemError, Rejected, Transient, Unavailable
from imagesystem.events.questions import Embed, Embedded, Refused
from imagesystem.questions.port import Answer, Answerer, Question

__all__ = ["Reply", "encode", "read", "refusal", "replied"]

log = logs.get(__name__)

_QUESTIONS: dict[str, msgspec.json.Decoder[Question]] = {"embed": msgspec.json.Decoder(Embed)}
_ANSWERS: dict[str, msgspec.json.Decoder[Answer]] = {"embed": msgspec.json.Decoder(Embedded)}
_refused = msgspec.json.Decoder(Refused)
#: The `ce-type` of an answer to a question of an exchange, and of a refusal.
ANSWERED, REFUSED = "answers.v1.{}", "answers.v1.refused"

encode = msgspec.json.Encoder().encode


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent back: its `ce-type`, and a body."""

    type: str
    body: bytes


async def replied(exchange: str, body: bytes, answer: Answerer) -> Reply:
    """Return the reply to a question, whatever becomes of it, within the question's patience."""
    try:
        question = _QUESTIONS[exchange].decode(body)
        async with asyncio.timeout(question.patience_s):
            answered = await answer(question)
    except TimeoutError:
        return refusal(503, "deadline_exceeded", "no answer was found in time")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return refusal(400, "invalid_request", f"the question cannot be read: {error}")
    except Rejected as error:
        told = Refused(
            status=error.status,
            code=error.code,
            message=error.message,
            limit=error.limit,
            allowed=error.allowed,
            actual=error.actual,
        )
        return Reply(type=REFUSED, body=encode(told))
    except ImageSystemError as error:
        return refusal(503, error.code, error.message)
    except Exception:  # whoever asked shall not wait in vain
        log.exception("question_failed", exchange=exchange)
        return refusal(503, "internal_error", "an error on the side of who answers; it was logged")
    return Reply(type=ANSWERED.format(exchange), body=encode(answered))


def refusal(status: int, code: str, message: str) -> Reply:
    """Return a reply that is no answer."""
    return Reply(type=REFUSED, body=encode(Refused(status=status, code=code, message=message)))


def read(exchange: str, kind: str, body: bytes, by: str) -> Answer:
    """Return the answer that a reply is, or raise what it says: see `Questions.ask`."""
    try:
        if kind == ANSWERED.format(exchange):
            return _ANSWERS[exchange].decode(body)
        if kind != REFUSED:
            raise Unavailable(by, f"{by} answers with {kind[:100]!r}, which is not understood")
        told = _refused.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unavailable(by, f"the answer of {by} cannot be read: {error}") from error
    if told.status == 503:
        raise Transient(told.message, code=told.code)
    raise Rejected(
        told.status,
        told.code,
        told.message,
        limit=told.limit,
        allowed=told.allowed,
        actual=told.actual,
    )
