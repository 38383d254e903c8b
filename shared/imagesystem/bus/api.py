"""JetStream's own requests and answers, on a plain NATS connection."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from imagesystem.errors import (
    ImageSystemError,
    Permanent,
    StoreFull,
    Transient,
    Unavailable,
    Unheard,
)
from imagesystem.unheard import NOBODY, until_heard

__all__ = [
    "API_TIMEOUT_S",
    "JetStreamError",
    "TooManySubjects",
    "api_call",
    "direct_get",
    "direct_get_many",
    "leader_get",
    "request",
]

API_TIMEOUT_S = 5.0
#: What a client that is not connected, or a server that does not answer, raises.
OUTAGES = (
    TimeoutError,
    nats.errors.TimeoutError,
    nats.errors.NoRespondersError,
    nats.errors.ConnectionClosedError,
    nats.errors.ConnectionReconnectingError,
    nats.errors.ConnectionDrainingError,
    nats.errors.StaleConnectionError,
    nats.errors.OutboundBufferLimitError,
    OSError,
)
#: Error codes of the server for "no room": insufficient resources, store failed, storage limits.
FULL = {10023, 10028, 10047, 10077}
NO_MESSAGE = 10037
#: Of a direct get: it found more subjects than the server answers at once (1024).
TOO_MANY = "413"


class JetStreamError(Permanent):
    """The server refused a request; `error_code` is its own number for why."""

    code = "jetstream_error"

    def __init__(self, error_code: int, message: str) -> None:
        super().__init__(message)
        self.error_code = error_code


class TooManySubjects(Permanent):
    """More subjects match than the server answers the latest messages of at once."""

    code = "too_many_subjects"


def refusal(error: Mapping[str, Any]) -> ImageSystemError:
    """Return the error for the `error` object of a JetStream answer."""
    code, status = int(error.get("err_code", 0)), int(error.get("code", 0))
    message = str(error.get("description", error))
    if code in FULL or "maximum" in message:
        return StoreFull(message)
    if status == 503:
        return Unavailable("nats", message)
    if status == 429:
        return Transient(message, code="too_many_requests")
    return JetStreamError(code, message)


async def request(
    client: Client,
    subject: str,
    payload: bytes,
    *,
    headers: dict[str, str] | None = None,
    timeout_s: float = API_TIMEOUT_S,
) -> Msg:
    """Send a request; raises `Unavailable` when no answer comes."""

    async def once() -> Msg:
        try:
            return await client.request(subject, payload, timeout=timeout_s, headers=headers)
        except nats.errors.NoRespondersError as error:
            raise Unheard("nats", f"nobody answers {subject}") from error
        except OUTAGES as error:
            raise Unavailable("nats", f"no answer on {subject}: {type(error).__name__}") from error

    return await until_heard(once)


async def api_call(
    client: Client, subject: str, body: object | None = None, *, timeout_s: float = API_TIMEOUT_S
) -> dict[str, Any]:
    """Call `$JS.API.<subject>` and return the answer; raises what `refusal` says."""
    payload = b"" if body is None else msgspec.json.encode(body)
    answer = await request(client, f"$JS.API.{subject}", payload, timeout_s=timeout_s)
    decoded: dict[str, Any] = msgspec.json.decode(answer.data)
    if "error" in decoded:
        raise refusal(decoded["error"])
    return decoded


async def direct_get(client: Client, stream: str, subject: str, *, replicas: int = 1) -> Msg | None:
    """Return the last message on `subject`, or None; its headers tell sequence and time.

    Any replica answers, also one that lags: with `replicas`, what it lacks the leader is asked for.
    """
    answer = await request(client, f"$JS.API.DIRECT.GET.{stream}.{subject}", b"")
    if (answer.headers or {}).get("Status") != "404":
        return answer
    return await leader_get(client, stream, subject) if replicas > 1 else None


async def leader_get(client: Client, stream: str, subject: str) -> Msg | None:
    """Return the same as `direct_get`, as the stream's leader has it: all that was confirmed."""
    try:
        answer = await api_call(client, f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject})
    except JetStreamError as error:
        if error.error_code == NO_MESSAGE:
            return None
        raise
    found = answer["message"]
    lines = base64.b64decode(found.get("hdrs", "")).decode(errors="replace").split("\r\n")[1:]
    headers = {
        name.strip(): value.strip()
        for name, separator, value in (line.partition(":") for line in lines)
        if separator
    }
    headers |= {
        "Nats-Stream": stream,
        "Nats-Subject": found["subject"],
        "Nats-Sequence": str(found["seq"]),
        "Nats-Time-Stamp": found["time"],
    }
    data = base64.b64decode(found.get("data", ""))
    return Msg(_client=client, subject=subject, data=data, headers=headers)


async def direct_get_many(
    client: Client, stream: str, query: Mapping[str, object], *, timeout_s: float = API_TIMEOUT_S
) -> AsyncGenerator[Msg, None]:
    """Yield the messages that a batched direct get answers (ADR-31), until its end marker."""
    inbox, asked = client.new_inbox(), msgspec.json.encode(query)
    try:
        subscription = await client.subscribe(inbox)

        async def first() -> Msg:
            await client.publish(f"$JS.API.DIRECT.GET.{stream}", asked, reply=inbox)
            message = await subscription.next_msg(timeout=timeout_s)
            if (message.headers or {}).get("Status") == NOBODY:
                raise Unheard("nats", f"nobody answers a direct get of {stream}")
            return message

        try:
            message = await until_heard(first)
            while True:
                status = (message.headers or {}).get("Status")
                if status in ("204", "404"):
                    return
                if status == TOO_MANY:
                    raise TooManySubjects(f"direct get of {stream}: {query}")
                if status is not None:
                    raise Unavailable("nats", f"direct get of {stream}: status {status}")
                yield message
                message = await subscription.next_msg(timeout=timeout_s)
        finally:
            await subscription.unsubscribe()
    except OUTAGES as error:
        raise Unavailable("nats", f"direct get of {stream}: {type(error).__name__}") from error
