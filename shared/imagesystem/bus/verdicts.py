"""An exception is a verdict on a message: again later, never again, or nothing left to do."""

from __future__ import annotations

import random
import traceback
from collections import OrderedDict
from datetime import datetime

import msgspec

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

__all__ = ["FirstAttempts", "final", "letter_for", "retry_delay", "verdict_on"]

#: Bytes of JSON that an error's text may take: with the largest payload, in base64, and headers
#: they fit into a message of DEAD_LETTERS.
TRACEBACK_BYTES, MESSAGE_BYTES = 96 * 1024, 16 * 1024


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


class FirstAttempts:
    """When this process first tried the messages that it has not settled yet."""

    #: As many as the server hands out unacknowledged; what another process settles stays here.
    MOST = 10_000

    def __init__(self) -> None:
        self._begun: OrderedDict[int, datetime] = OrderedDict()

    def begun(self, delivery: Delivery) -> None:
        """Note that an attempt begins; what another process began counts from when it was said."""
        now = ids.now() if delivery.attempts == 1 else delivery.published_at
        self._begun.setdefault(delivery.sequence, now)
        if len(self._begun) > self.MOST:
            self._begun.popitem(last=False)

    def of(self, delivery: Delivery) -> datetime:
        """Return when the first attempt began."""
        return self._begun.get(delivery.sequence, delivery.published_at)

    def ended(self, delivery: Delivery) -> None:
        """Forget a message that is settled."""
        self._begun.pop(delivery.sequence, None)


def letter_for(
    consumer: Consumer,
    delivery: Delivery,
    verdict: Permanent | Transient,
    *,
    first_at: datetime,
) -> DeadLetter:
    """Return the dead letter of a message: the whole of it, and why it could not be handled."""
    # A verdict that was raised speaks for itself; one that `verdict_on` made, for its cause.
    error = verdict if verdict.__traceback__ else verdict.__cause__ or verdict
    return DeadLetter(
        letter_id=letter_id(consumer.name, consumer.stream, delivery.sequence),
        consumer=consumer.name,
        stream=consumer.stream,
        sequence=delivery.sequence,
        message_subject=delivery.subject,
        headers={name: _plain(value) for name, value in delivery.headers.items()},
        payload=delivery.body,
        code=verdict.code,
        error=type(error).__name__,
        message=_fitting(str(verdict), MESSAGE_BYTES),
        attempts=delivery.attempts,
        said_at=delivery.published_at,
        first_at=first_at,
        last_at=ids.now(),
        traceback=_fitting("".join(traceback.format_exception(error)), TRACEBACK_BYTES),
        image_id=image_of(delivery.subject),
    )


def _plain(text: str) -> str:
    """Return the text with what UTF-8 cannot say (parts of undecodable file names) spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _fitting(text: str, limit: int) -> str:
    """Return the text if it takes `limit` bytes of JSON at most, else its two ends."""
    text = _plain(text)
    if len(text) <= limit // 6 or len(msgspec.json.encode(text)) <= limit:
        return text  # a character takes six bytes at most, and most take one
    keep = limit // 12 - 20
    return f"{text[:keep]}\n… {len(text) - 2 * keep} characters …\n{text[-keep:]}"
