"""An exception is a verdict on a message: again later, never again, or nothing left to do."""

from __future__ import annotations

import random
import traceback

from imagesystem import ids
from imagesystem.bus.messages import Delivery
from imagesystem.errors import (
    ImageSystemError,
    Permanent,
    Rejected,
    StoreFull,
    Transient,
    Unavailable,
)
from imagesystem.events import DeadLetter, image_of, letter_id
from imagesystem.topology import Consumer

__all__ = ["final", "letter_for", "retry_delay", "verdict_on"]


def verdict_on(error: Exception) -> Transient | Permanent:
    """Return what an exception of a handler means for its message.

    What nobody foresaw is transient: it is tried again, and becomes a dead letter when the
    attempts are used up. A rejection is permanent: what is asked for will never be possible.
    A full store is an outage like any other: the message waits until there is room again.
    """
    if isinstance(error, StoreFull):
        return Unavailable("room", error.message)
    if isinstance(error, Transient | Permanent):
        return error
    if isinstance(error, Rejected):
        verdict: Transient | Permanent = Permanent(error.message, code=error.code)
    elif isinstance(error, TimeoutError):
        verdict = Transient("the handler exceeded its deadline", code="deadline_exceeded")
    elif isinstance(error, ImageSystemError):
        verdict = Transient(error.message, code=error.code)
    else:
        verdict = Transient(f"{type(error).__name__}: {error}", code="unexpected_error")
    verdict.__cause__ = error
    return verdict


def final(verdict: Transient | Permanent) -> Permanent:
    """Return the verdict as it stands when nothing more will be tried."""
    if isinstance(verdict, Permanent):
        return verdict
    last = Permanent(verdict.message, code=verdict.code)
    last.__cause__ = verdict.__cause__ or verdict
    return last


def retry_delay(consumer: Consumer, attempts: int) -> float:
    """Return the seconds to wait after a failed attempt: doubling, bounded, ±20 % apart."""
    delay = consumer.retry_s * 2.0 ** min(attempts - 1, 16)
    return min(delay, consumer.retry_max_s) * random.uniform(0.8, 1.2)  # noqa: S311


def letter_for(
    consumer: Consumer, delivery: Delivery, verdict: Permanent | Transient
) -> DeadLetter:
    """Return the dead letter of a message: the whole of it, and why it could not be handled."""
    error = verdict.__cause__ or verdict
    return DeadLetter(
        letter_id=letter_id(consumer.name, consumer.stream, delivery.sequence),
        consumer=consumer.name,
        stream=consumer.stream,
        sequence=delivery.sequence,
        message_subject=delivery.subject,
        headers=delivery.headers,
        payload=delivery.body,
        code=verdict.code,
        error=type(error).__name__,
        message=str(verdict)[:4000],
        attempts=delivery.attempts,
        first_at=delivery.published_at,
        last_at=ids.now(),
        traceback="".join(traceback.format_exception(error))[-16_000:],
        image_id=image_of(delivery.subject),
    )
