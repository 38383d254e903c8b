"""Pausing the work of a task for a while, and letting it go on."""

from __future__ import annotations

from datetime import datetime

from imagesystem.bus import api, pauses
from imagesystem.bus.provisioning import CONSUMER_MISSING
from imagesystem.topology import CONSUMERS, REPLAYS, Consumer
from nats.aio.client import Client

from local_stack.errors import StackError

__all__ = ["consumer_of", "pause"]


def consumer_of(task: str) -> Consumer:
    """Return the consumer that does a task: `inference.text` is `inference-text`.

    Raises `StackError`, with all that there are, for what is none.
    """
    consumer = CONSUMERS.get(task.replace(".", "-"))
    if consumer is None:
        names = ", ".join(f"{one.service}.{_own(one)}" for one in CONSUMERS.values())
        raise StackError(f"there is no task {task!r}; there are: {names}")
    return consumer


def _own(consumer: Consumer) -> str:
    """Return the consumer's name without its service's."""
    return consumer.name.removeprefix(f"{consumer.service}-")


async def pause(client: Client, consumer: Consumer, until: datetime | None) -> None:
    """Pause a consumer, and replays for it, until then; None: let both go on.

    Raises `StackError` if its service has never made it.
    """
    for durable in (consumer, REPLAYS[consumer.name]):
        try:
            await pauses.pause(client, durable, until)
        except api.JetStreamError as error:
            if error.error_code != CONSUMER_MISSING:
                raise
            raise StackError(
                f"{consumer.name} is not made yet: {consumer.service} has not started"
            ) from error
