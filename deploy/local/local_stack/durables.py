"""The durable consumers of external subscribers, as the administrator makes and removes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats
import nats.errors
from imagesystem.bus import api
from imagesystem.bus.provisioning import CONSUMER_MISSING, SECOND_NS
from imagesystem.errors import ImageSystemError
from imagesystem.permissions import ADMINISTRATOR, inbox_prefix
from nats.aio.client import Client

from local_stack.accounts import Subscriber
from local_stack.errors import StackError
from local_stack.homes import Home

__all__ = ["LONGEST_PULL_S", "administering", "create", "ignored", "info", "remove"]

#: What comes again if it is not acknowledged, in seconds.
ACK_WAIT_S = 30
#: Seconds that a pull may wait; the account lets answers through for longer.
LONGEST_PULL_S = 120
#: Facts that may be delivered and not acknowledged at once.
MAX_ACK_PENDING = 1000
#: How long a server may take for new accounts before a refusal is meant.
RELOAD_S = 3.0
_POLL_S = 0.1


async def _let_in(home: Home) -> Client:
    """Connect; a server that is just taking new accounts may know nobody for a moment."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + RELOAD_S
    while True:
        try:
            return await nats.connect(
                [f"nats://{ADMINISTRATOR}:{home.password()}@{name}" for name in home.addresses],
                name=ADMINISTRATOR,
                inbox_prefix=inbox_prefix(ADMINISTRATOR),
                allow_reconnect=False,
                connect_timeout=5,
                error_cb=ignored,
            )
        except nats.errors.Error as error:
            if "Authorization Violation" not in str(error) or clock() > deadline:
                raise
            await asyncio.sleep(_POLL_S)


@asynccontextmanager
async def administering(home: Home) -> AsyncIterator[Client]:
    """Connect as the administrator; raises `StackError` for whatever NATS refuses."""
    addresses = home.addresses
    try:
        client = await _let_in(home)
    except (nats.errors.Error, OSError) as error:
        raise StackError(
            f"NATS at {', '.join(addresses)} does not let the administrator in: "
            f"{error or type(error).__name__}"
        ) from error
    try:
        yield client
    except ImageSystemError as error:
        raise StackError(f"NATS at {', '.join(addresses)}: {error}") from error
    finally:
        await client.close()


async def ignored(_error: Exception) -> None:
    """Keep what `nats.connect` raises anyway out of the log."""


async def create(client: Client, subscriber: Subscriber) -> None:
    """Make the durable; without a threshold of inactivity, it waits for ever."""
    config = {
        "durable_name": subscriber.durable,
        "description": f"external subscriber {subscriber.name}",
        "filter_subjects": list(subscriber.facts),
        "ack_policy": "explicit",
        "ack_wait": ACK_WAIT_S * SECOND_NS,
        "max_deliver": -1,
        "max_ack_pending": MAX_ACK_PENDING,
        "max_expires": LONGEST_PULL_S * SECOND_NS,
        "deliver_policy": "all",
    }
    await api.api_call(
        client,
        f"CONSUMER.DURABLE.CREATE.IMAGES.{subscriber.durable}",
        {"stream_name": "IMAGES", "config": config},
    )


async def remove(client: Client, subscriber: Subscriber) -> None:
    """Remove the durable, if it is there."""
    try:
        await api.api_call(client, f"CONSUMER.DELETE.IMAGES.{subscriber.durable}")
    except api.JetStreamError as error:
        if error.error_code != CONSUMER_MISSING:
            raise


async def info(client: Client, subscriber: Subscriber) -> dict[str, Any] | None:
    """Return what JetStream knows of the durable, None if it is not there."""
    try:
        return await api.api_call(client, f"CONSUMER.INFO.IMAGES.{subscriber.durable}")
    except api.JetStreamError as error:
        if error.error_code != CONSUMER_MISSING:
            raise
        return None
