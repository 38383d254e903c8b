"""Dead letters in JetStream, read by direct gets: no consumer, no database.

Newest first, in windows of positions from the end of the stream: a direct get only goes forward.
What a letter holds is read in bounded stretches, and of a page only summaries are kept.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from imagesystem.bus import api
from imagesystem.bus.messages import stored
from imagesystem.dead_letters.port import Page, Summary, Wanted, summary_of
from imagesystem.errors import UndecodableEvent
from imagesystem.events import DeadLetter, image_of

__all__ = ["JetStreamLetters"]

STREAM = "DEAD_LETTERS"
NO_MESSAGE = 10037
#: Positions in a window; one without letters is followed by a wider one.
WINDOW, WIDEST = 256, 8192
#: Letters and bytes in one answer.
BATCH, BATCH_BYTES = 256, 4 * 1024**2
#: Letters looked through for one page.
MOST = 4096
#: A letter is in the stream soon after its last attempt, by clocks that may differ.
SKEW = timedelta(minutes=10)
TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


class JetStreamLetters:
    """See `imagesystem.dead_letters.Letters`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def page(self, wanted: Wanted, *, before: int | None = None, limit: int = 50) -> Page:
        """See `Letters.page`."""
        consumer = wanted.consumer or "*"
        if wanted.consumer is not None and not TOKEN.fullmatch(wanted.consumer):
            return Page(letters=[])
        pattern = f"dead.v1.{consumer}.*"
        state = (await api.api_call(self._client, f"STREAM.INFO.{STREAM}"))["state"]
        end = int(state["last_seq"]) + 1
        first = max(int(state["first_seq"]), 1)
        if wanted.since is not None:
            first = max(first, await self._first_since(wanted, pattern, end))
        high, width, looked = min(before or end, end), WINDOW, 0
        found: list[Summary] = []
        while high > first and len(found) <= limit and looked < MOST:
            low = max(first, high - width)
            seen = 0
            window: list[Summary] = []
            async with aclosing(self._between(low, high, pattern)) as messages:
                async for message in messages:
                    seen += 1
                    letter = _letter_in(message)
                    if not letter.resolved and wanted.met_by(letter):
                        window.append(summary_of(letter, _position(message)))
            found += reversed(window)
            high, looked = low, looked + seen
            width = WINDOW if seen else min(2 * width, WIDEST)
        if len(found) > limit:
            return Page(letters=found[:limit], next=found[limit - 1].position)
        return Page(letters=found, next=high if high > first else None)

    async def _first_since(self, wanted: Wanted, pattern: str, end: int) -> int:
        """Return a position before which no letter is as new as wanted."""
        assert wanted.since is not None  # noqa: S101
        start = max(wanted.since, datetime.min.replace(tzinfo=UTC) + SKEW) - SKEW
        query = {"start_time": start, "batch": 1, "next_by_subj": pattern}
        async with aclosing(api.direct_get_many(self._client, STREAM, query)) as messages:
            async for message in messages:
                return _position(message)
        return end

    async def _between(self, low: int, high: int, pattern: str) -> AsyncGenerator[Msg, None]:
        """Yield the messages at positions from `low` to below `high`."""
        while low < high:
            query = {
                "seq": low,
                "batch": BATCH,
                "max_bytes": BATCH_BYTES,
                "next_by_subj": pattern,
            }
            before = low
            async with aclosing(api.direct_get_many(self._client, STREAM, query)) as messages:
                async for message in messages:
                    low = _position(message) + 1
                    if low > high:
                        return
                    yield message
            if low == before:
                return

    async def get(self, letter_id: str) -> DeadLetter | None:
        """See `Letters.get`."""
        message = await self._find(letter_id)
        letter = None if message is None else _letter_in(message)
        return None if letter is None or letter.resolved else letter

    async def discard(self, letter_id: str) -> bool:
        """See `Letters.discard`."""
        message = await self._find(letter_id)
        if message is None or _letter_in(message).resolved:
            return False
        # By its position: one that was written anew meanwhile is another letter.
        body = {"seq": _position(message), "no_erase": True}
        try:
            await api.api_call(self._client, f"STREAM.MSG.DELETE.{STREAM}", body)
        except api.JetStreamError as error:
            if error.error_code != NO_MESSAGE:
                raise
            return False
        return True

    async def _find(self, letter_id: str) -> Msg | None:
        if not TOKEN.fullmatch(letter_id):
            return None
        query = {"multi_last": [f"dead.v1.*.{letter_id}"], "batch": 1}
        async with aclosing(api.direct_get_many(self._client, STREAM, query)) as messages:
            async for message in messages:
                return message
        return None


def _position(message: Msg) -> int:
    return int((message.headers or {})["Nats-Sequence"])


def _letter_in(message: Msg) -> DeadLetter:
    """Return the letter in a message; of what is no letter one that says so, and has it whole."""
    headers = dict(message.headers or {})
    try:
        event = stored(message).event
    except UndecodableEvent as error:
        _, _, consumer, letter_id = headers["Nats-Subject"].split(".", 3)
        moment = msgspec.convert(headers["Nats-Time-Stamp"], datetime)
        return DeadLetter(
            letter_id=letter_id,
            consumer=consumer,
            stream=STREAM,
            sequence=_position(message),
            message_subject=headers["Nats-Subject"],
            headers=headers,
            payload=message.data,
            code="unreadable_letter",
            error=type(error).__name__,
            message=error.message,
            attempts=0,
            first_at=moment,
            last_at=moment,
            image_id=image_of(headers["Nats-Subject"]),
        )
    assert isinstance(event, DeadLetter)  # noqa: S101  one type per subject
    return event
