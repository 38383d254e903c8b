"""`image-system pause TASK --for 10m`, `image-system resume TASK`."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from imagesystem import ids
from imagesystem.topology import Consumer

from local_stack import moments, pauses, queues
from local_stack.errors import StackError

__all__ = ["pause", "resume"]

Task = Annotated[
    str, typer.Argument(help="Which work: inference.text, augmentation.units, metadata.facts, …")
]
DataDir = Annotated[
    Path, typer.Option("--data-dir", help="Where everything is kept; tells one stack from another.")
]
DEFAULT_DATA_DIR = Path(".image-system")
NatsUrl = Annotated[
    str,
    typer.Option(
        "--nats-url", help="NATS of a system that runs elsewhere, with the operator's password."
    ),
]
LONGEST = "365d"


def pause(
    task: Task,
    *,
    how_long: Annotated[str, typer.Option("--for", help="How long: 90s, 10m, 1h30m, 7d.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    nats_url: NatsUrl = "",
) -> None:
    """Hold the work of a task back for a while; all else goes on, and it resumes by itself."""
    consumer, wanted = pauses.consumer_of(task), moments.duration(how_long)
    if not wanted or wanted > moments.duration(LONGEST):
        raise StackError(f"{how_long!r} is not from 1s to {LONGEST}")
    until = ids.now() + wanted
    asyncio.run(_pause(consumer, until, _url(nats_url, data_dir)))
    typer.echo(f"{consumer.name} is paused until {moments.shown(until)} UTC: then it goes on")


def resume(task: Task, *, data_dir: DataDir = DEFAULT_DATA_DIR, nats_url: NatsUrl = "") -> None:
    """Let the work of a task go on, whoever paused it."""
    consumer = pauses.consumer_of(task)
    asyncio.run(_pause(consumer, None, _url(nats_url, data_dir)))
    typer.echo(f"{consumer.name} goes on")


async def _pause(consumer: Consumer, until: datetime | None, url: str) -> None:
    async with queues.connected(url) as client:
        await pauses.pause(client, consumer, until)


def _url(nats_url: str, data_dir: Path) -> str:
    return nats_url or queues.operator_url(data_dir.absolute())
