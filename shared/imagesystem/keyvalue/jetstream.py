"""Key-value buckets on JetStream, in NATS's own layout (ADR-8): other clients can read them.

Publishes and direct gets only: no consumer is made for a read, and none for a count.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from imagesystem import ids
from imagesystem.bus import api
from imagesystem.errors import Transient, Unavailable, WrongSequence
from imagesystem.keyvalue.port import Entry, check_key

__all__ = ["JetStreamKeyValue"]

WRONG_LAST_SEQUENCE = 10071
WRITE_DEADLINE_S, WRITE_TRY_S = 10.0, 3.0


class JetStreamKeyValue:
    """See `imagesystem.keyvalue.KeyValue`.

    `replicas` is that of the stream: with more than one, what a replica lacks the leader has.
    """

    def __init__(self, client: Client, name: str, *, replicas: int = 1) -> None:
        self._client = client
        self._replicas = replicas
        self._stream = f"KV_{name}"
        self._prefix = f"$KV.{name}."

    async def get(self, key: str) -> Entry | None:
        """See `KeyValue.get`."""
        check_key(key)
        message = await self._last(self._prefix + key)
        return None if message is None else self._entry(message)

    async def put(
        self, key: str, value: bytes, *, expected: int | None = None, among: str | None = None
    ) -> int:
        """See `KeyValue.put`; tried under one id until the server confirmed it."""
        check_key(key)
        write_id = ids.new_id()
        headers = {"Nats-Msg-Id": write_id}
        if expected is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(expected)
            if among is not None:
                subject = self._prefix + among
                headers["Nats-Expected-Last-Subject-Sequence-Subject"] = subject
        deadline, delay, tries = asyncio.get_running_loop().time() + WRITE_DEADLINE_S, 0.1, 0
        while True:
            tries += 1
            try:
                return await self._write(key, value, headers)
            except api.JetStreamError as error:
                if error.error_code != WRONG_LAST_SEQUENCE:
                    raise
                # A write whose confirmation was lost is refused because of itself.
                revision = await self._written(key, write_id) if tries > 1 else None
                if revision is not None:
                    return revision
                raise WrongSequence(f"{among or key} is not at {expected}") from error
            except (Unavailable, Transient) as error:
                retryable = isinstance(error, Unavailable) or error.code == "too_many_requests"
                if not retryable or asyncio.get_running_loop().time() + delay > deadline:
                    raise
                await asyncio.sleep(delay)
                delay = min(delay * 2, 2.0)

    async def _write(self, key: str, value: bytes, headers: dict[str, str]) -> int:
        answer = await api.request(
            self._client, self._prefix + key, value, headers=headers, timeout_s=WRITE_TRY_S
        )
        decoded = msgspec.json.decode(answer.data)
        if "error" in decoded:
            raise api.refusal(decoded["error"])
        return int(decoded["seq"])

    async def _written(self, key: str, write_id: str) -> int | None:
        look = api.leader_get if self._replicas > 1 else api.direct_get
        held = await look(self._client, self._stream, self._prefix + key)
        if held is None or (held.headers or {}).get("Nats-Msg-Id") != write_id:
            return None
        return int((held.headers or {})["Nats-Sequence"])

    async def entries(self, pattern: str, *, after: int = 0, limit: int = 1000) -> list[Entry]:
        """See `KeyValue.entries`."""
        found = await self._next(pattern, after + 1, limit)
        return [self._entry(message) for message in found]

    async def count(self, pattern: str) -> int:
        """See `KeyValue.count`."""
        found = await self._next(pattern, 1, 1)
        return sum(1 + int((message.headers or {})["Nats-Num-Pending"]) for message in found)

    async def _next(self, pattern: str, start: int, limit: int) -> list[Msg]:
        query = {"seq": start, "next_by_subj": self._prefix + pattern, "batch": limit}
        answers = api.direct_get_many(self._client, self._stream, query)
        return [message async for message in answers]

    async def last(self, pattern: str) -> Entry | None:
        """See `KeyValue.last`."""
        message = await self._last(self._prefix + pattern)
        return None if message is None else self._entry(message)

    async def remove(self, pattern: str) -> int:
        """See `KeyValue.remove`."""
        body = {"filter": self._prefix + pattern}
        answer = await api.api_call(self._client, f"STREAM.PURGE.{self._stream}", body)
        return int(answer["purged"])

    async def _last(self, subject: str) -> Msg | None:
        return await api.direct_get(self._client, self._stream, subject, replicas=self._replicas)

    def _entry(self, message: Msg) -> Entry:
        headers = message.headers or {}
        return Entry(
            key=headers["Nats-Subject"].removeprefix(self._prefix),
            value=message.data,
            revision=int(headers["Nats-Sequence"]),
            written_at=_time(headers["Nats-Time-Stamp"]),
        )


def _time(text: str) -> datetime:
    # The server writes nanoseconds, Python reads microseconds.
    whole, _, fraction = text.rstrip("Z").partition(".")
    moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    return moment.replace(microsecond=int(fraction[:6].ljust(6, "0")) if fraction else 0)
