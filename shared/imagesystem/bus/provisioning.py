"""Streams, buckets and consumers made as declared: by their owner, idempotently."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from nats.aio.client import Client

from imagesystem import logs, retention
from imagesystem.bus import api
from imagesystem.errors import Permanent, StoreFull, Unavailable
from imagesystem.topology import Consumer, KeyValue, Stream

__all__ = [
    "checkpoint",
    "consumer_config",
    "ensure_consumer",
    "ensure_stream",
    "key_value_config",
    "patiently",
    "stream_config",
    "wait_for_stream",
]

log = logs.get(__name__)

STREAM_MISSING, CONSUMER_MISSING = 10059, 10014
NAME_IN_USE = 10058
SECOND_NS = 1_000_000_000
#: How long what is made at a start is tried.
PATIENCE_S = 45.0

T = TypeVar("T")


def stream_config(stream: Stream, replicas: int = 1) -> dict[str, Any]:
    """Return the JetStream configuration of a declared stream."""
    return {
        "name": stream.name,
        "description": stream.description,
        "subjects": list(stream.subjects),
        "retention": stream.retention,
        "storage": "file",
        "discard": "old" if stream.evicts else "new",
        "max_bytes": stream.max_bytes,
        "max_msgs_per_subject": stream.per_subject,
        "max_age": int(stream.max_age_s * SECOND_NS),
        "max_msg_size": stream.max_message_bytes,
        "duplicate_window": 120 * SECOND_NS,
        "allow_direct": True,
        "allow_msg_ttl": True,
        "num_replicas": replicas,
    }


def key_value_config(key_value: KeyValue, replicas: int = 1) -> dict[str, Any]:
    """Return the configuration of the stream behind a key-value bucket (ADR-8)."""
    return {
        "name": f"KV_{key_value.name}",
        "description": key_value.description,
        "subjects": [f"$KV.{key_value.name}.>"],
        "storage": "file",
        "discard": "new",
        "max_msgs_per_subject": 1,
        "max_age": int(key_value.max_age_s * SECOND_NS),
        "allow_rollup_hdrs": True,
        "deny_delete": True,
        "allow_direct": True,
        "num_replicas": replicas,
    }


def consumer_config(consumer: Consumer, start_sequence: int = 0) -> dict[str, Any]:
    """Return the JetStream configuration of a declared durable consumer.

    `max_deliver` -1 and no `backoff`: retries and dead letters are the consumer loop's.
    """
    config: dict[str, Any] = {
        "durable_name": consumer.name,
        "filter_subjects": list(consumer.subjects),
        "ack_policy": "explicit",
        "ack_wait": int(consumer.ack_wait_s * SECOND_NS),
        "max_deliver": -1,
        "max_ack_pending": 10_000,
        "deliver_policy": "all",
    }
    if start_sequence > 1:
        config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": start_sequence}
    return config


async def patiently(action: Callable[[], Awaitable[T]]) -> T:
    """Do it, and again while NATS has no answer: a cluster that starts elects its leaders first.

    Raises `Unavailable` when there is none within `PATIENCE_S` seconds.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + PATIENCE_S
    told = False
    while True:
        try:
            return await action()
        except Unavailable as error:
            if clock() > deadline:
                raise
            if not told:
                log.info("waiting_for_nats", why=error.message)
            told = True
            await asyncio.sleep(0.2)


async def ensure_stream(client: Client, config: dict[str, Any]) -> None:
    """Create the stream, or update the one that exists; raises `Permanent` where it can't be."""
    name = config["name"]
    try:
        info = await api.api_call(client, f"STREAM.INFO.{name}")
    except api.JetStreamError as error:
        if error.error_code != STREAM_MISSING:
            raise
        try:
            await api.api_call(client, f"STREAM.CREATE.{name}", config)
        except StoreFull as full:
            raise _over_the_servers(config) from full
        log.info("stream_created", stream=name)
        return
    held = info["config"]
    different = sorted(
        key for key, value in config.items() if held.get(key, _absent(value)) != value
    )
    stored, limit = int(info["state"]["bytes"]), int(config.get("max_bytes", -1))
    if 0 <= limit < stored:
        # Of what evicts the oldest go at once; of what refuses nothing does.
        log.warning("store_over_its_limit", stream=name, bytes=stored, max_bytes=limit)
    if not different:
        return
    try:
        await api.api_call(client, f"STREAM.UPDATE.{name}", held | config)
    except StoreFull as full:
        raise _over_the_servers(config) from full
    except api.JetStreamError as error:
        raise Permanent(
            f"stream {name} exists with another {', '.join(different)} and can't be changed: "
            f"{error.message}",
            code="stream_differs",
        ) from error
    log.info("stream_updated", stream=name, changed=different)


def _over_the_servers(config: dict[str, Any]) -> Permanent:
    return Permanent(
        f"{config['name']} is to hold {config['max_bytes']} bytes, which with all other limits is "
        f"more than NATS may keep: lower {retention.SETTINGS.get(config['name'], 'the limit')} "
        "or raise NATS_MAX_FILE_STORE",
        code="limit_too_large",
    )


def _absent(value: object) -> object:
    # The server leaves out what is false, zero or empty.
    return type(value)() if isinstance(value, bool | int | str | list) else None


async def wait_for_stream(client: Client, name: str) -> None:
    """Return once the stream exists: its owner makes it."""
    told = False
    while True:
        try:
            await api.api_call(client, f"STREAM.INFO.{name}")
        except (api.JetStreamError, Unavailable) as error:
            if not told:
                log.info("waiting_for_stream", stream=name, why=error.message)
            told = True
            await asyncio.sleep(0.2)
        else:
            return


async def ensure_consumer(
    client: Client, consumer: Consumer, *, paused_until: datetime | None = None
) -> bool:
    """Create the durable (from its checkpoint), or update it; return whether it was created.

    `paused_until`: what was known of its pause, for one that vanished.
    """
    try:
        info = await api.api_call(client, f"CONSUMER.INFO.{consumer.stream}.{consumer.name}")
    except api.JetStreamError as error:
        if error.error_code != CONSUMER_MISSING:
            raise
        start = await _checkpointed(client, consumer)
        config = consumer_config(consumer, start)
        if paused_until is not None:
            config["pause_until"] = paused_until
        await _put_consumer(client, consumer, config)
        log.info("consumer_created", consumer=consumer.name, from_sequence=start)
        return True
    held = info["config"]
    config = consumer_config(consumer)
    # Where it began cannot be changed afterwards, and need not be.
    for key in ("deliver_policy", "opt_start_seq"):
        config.pop(key, None)
    filters = held.get("filter_subjects") or [held.get("filter_subject")]
    if (held | {"filter_subjects": filters}) | config != held | {"filter_subjects": filters}:
        await _put_consumer(client, consumer, held | config)
        log.info("consumer_updated", consumer=consumer.name)
    return False


async def _put_consumer(client: Client, consumer: Consumer, config: dict[str, Any]) -> None:
    config = {key: value for key, value in config.items() if key != "filter_subject"}
    try:
        await api.api_call(
            client,
            f"CONSUMER.DURABLE.CREATE.{consumer.stream}.{consumer.name}",
            {"stream_name": consumer.stream, "config": config},
        )
    except api.JetStreamError as error:
        raise Permanent(
            f"consumer {consumer.name} can't be made as declared: {error.message}",
            code="consumer_differs",
        ) from error


def _checkpoint_subject(consumer: Consumer) -> str:
    return f"$KV.checkpoints.{consumer.service}.{consumer.name}"


async def checkpoint(client: Client, consumer: Consumer) -> dict[str, Any]:
    """Write down how far the durable has come, in case it vanishes; return what NATS says of it.

    Work queues need none: what is left in the stream is what is left to do.
    """
    info = await api.api_call(client, f"CONSUMER.INFO.{consumer.stream}.{consumer.name}")
    if consumer.stream == "COMMANDS":
        return info
    floor = int(info["ack_floor"]["stream_seq"])
    if floor > await _checkpointed(client, consumer) - 1:
        subject = _checkpoint_subject(consumer)
        await api.request(client, subject, msgspec.json.encode({"sequence": floor}))
    return info


async def _checkpointed(client: Client, consumer: Consumer) -> int:
    """Return the sequence to begin from: one past the checkpoint, 0 without one."""
    message = await api.direct_get(client, "KV_checkpoints", _checkpoint_subject(consumer))
    if message is None or consumer.stream == "COMMANDS":
        return 0
    return int(msgspec.json.decode(message.data)["sequence"]) + 1
