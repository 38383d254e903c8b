"""What `queues` says of every durable consumer, and what `queues clear` does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import nats
import nats.errors
from imagesystem.bus import api, pauses
from imagesystem.bus.provisioning import CONSUMER_MISSING
from imagesystem.errors import ImageSystemError
from imagesystem.permissions import OPERATOR, SAYS, inbox_prefix
from imagesystem.topology import CONSUMERS, REPLAYS, Consumer
from nats.aio.client import Client
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from local_stack import credentials, moments, processes, state
from local_stack.errors import StackError
from local_stack.ports import LOOPBACK

__all__ = [
    "TASKS",
    "Queue",
    "clear",
    "connected",
    "count",
    "examine",
    "kind_subject",
    "operator_url",
    "render",
]

#: The kinds of commands there are: the token after the version.
KINDS = sorted(
    {
        subject.split(".")[2]
        for subjects in SAYS.values()
        for subject in subjects
        if subject.startswith("commands.v1.")
    }
)


#: Commands that belong to augmentation tasks, which count on them.
TASKS = ("commands.v1.augment.", "commands.v1.plan.")


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """One durable consumer as it is now.

    `pending`: messages not delivered yet; `in_flight`: delivered and not acknowledged;
    `redelivered`: of these, delivered more than once; `lag_s`: age of the oldest that is not
    delivered, in seconds; `dead`: its dead letters; `replays`: those of them whose replay was
    asked for and has not ended; `paused_until`: when it goes on, null if it
    is not paused. `exists`: whether its service made it yet.
    """

    consumer: str
    service: str
    stream: str
    exists: bool = True
    pending: int = 0
    in_flight: int = 0
    redelivered: int = 0
    lag_s: float = 0.0
    dead: int = 0
    replays: int = 0
    paused_until: datetime | None = None


def operator_url(data_dir: Path) -> str:
    """Return the NATS URL of the operator of the stack that runs in `data_dir`."""
    known = state.read(data_dir)
    if known is None or known.phase == "stopped" or not processes.is_running(known.supervisor):
        raise StackError(f"no stack is running in {data_dir}: start one with `image-system up`")
    password = credentials.load_or_create(data_dir / "credentials.json").nats[OPERATOR]
    return f"nats://{OPERATOR}:{password}@{LOOPBACK}:{known.nats_port}"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    """Connect to NATS as the operator; raises `StackError` for whatever NATS refuses."""
    where = url.rpartition("@")[2]
    refused: list[Exception] = []

    async def on_error(error: Exception) -> None:
        refused.append(error)

    try:
        client = await nats.connect(
            url,
            name=OPERATOR,
            inbox_prefix=inbox_prefix(OPERATOR),
            allow_reconnect=False,
            connect_timeout=5,
            error_cb=on_error,
        )
    except (nats.errors.Error, OSError) as error:
        raise StackError(
            f"NATS at {where} does not let the operator in: {error or type(error).__name__}"
        ) from error
    try:
        yield client
    except ImageSystemError as error:
        raise StackError(f"NATS at {where}: {refused[0] if refused else error}") from error
    finally:
        await client.close()


async def examine(client: Client) -> list[Queue]:
    """Return the state of every durable consumer that is declared."""
    return [await _queue(client, consumer) for consumer in CONSUMERS.values()]


async def _queue(client: Client, consumer: Consumer) -> Queue:
    replays = REPLAYS[consumer.name]
    queue = Queue(
        consumer=consumer.name,
        service=consumer.service,
        stream=consumer.stream,
        dead=await _dead(client, consumer),
        # A work queue holds what is not done yet, under way or not.
        replays=len(await _subjects(client, replays.stream, replays.subjects[0])),
    )
    try:
        info = await api.api_call(client, f"CONSUMER.INFO.{consumer.stream}.{consumer.name}")
    except api.JetStreamError as error:
        if error.error_code != CONSUMER_MISSING:
            raise
        return msgspec.structs.replace(queue, exists=False)
    return msgspec.structs.replace(
        queue,
        pending=info["num_pending"],
        in_flight=info["num_ack_pending"],
        redelivered=info["num_redelivered"],
        paused_until=pauses.paused_until(info),
        lag_s=await _lag(client, consumer, info) if info["num_pending"] else 0.0,
    )


async def _lag(client: Client, consumer: Consumer, info: dict[str, Any]) -> float:
    """Return the age of the oldest message that was not delivered, by the server's clock."""
    after = int(info["delivered"]["stream_seq"]) + 1
    times = []
    for subject in consumer.subjects:
        query = msgspec.json.encode({"seq": after, "next_by_subj": subject})
        answer = await api.request(client, f"$JS.API.DIRECT.GET.{consumer.stream}", query)
        stamp = (answer.headers or {}).get("Nats-Time-Stamp")
        if stamp is not None:  # else there is none of this subject
            times.append(_moment(stamp))
    if not times:  # delivered since we asked
        return 0.0
    return round(max(0.0, (_moment(info["ts"]) - min(times)).total_seconds()), 3)


def _moment(text: str) -> datetime:
    return msgspec.convert(text, datetime)


async def _dead(client: Client, consumer: Consumer) -> int:
    """Return how many dead letters the consumer has: each has a subject of its own."""
    filter_ = f"dead.v1.{consumer.name}.*"
    return len(await _subjects(client, "DEAD_LETTERS", filter_))


async def _subjects(client: Client, stream: str, filter_: str) -> dict[str, int]:
    """Return the number of messages by subject; the server tells them page by page."""
    found: dict[str, int] = {}
    while True:
        query = {"subjects_filter": filter_, "offset": len(found)}
        answer = await api.api_call(client, f"STREAM.INFO.{stream}", query)
        page = answer["state"].get("subjects") or {}
        found |= page
        if not page or len(found) >= answer.get("total", 0):
            return found


def kind_subject(kind: str) -> str:
    """Return the subjects of a kind of commands: `commands.augment`, or of one task of it.

    Raises `StackError` for whatever is no kind of commands.
    """
    first, *rest = kind.removesuffix(".>").split(".")
    if rest[:1] == ["v1"]:
        rest = rest[1:]
    if first != "commands":
        raise StackError(
            f"{kind!r} is no queue of commands and stays as it is: only what is still to be done "
            f"can be cleared: {', '.join(f'commands.{name}' for name in KINDS)}"
        )
    if not rest or rest[0] not in KINDS or not all(_plain(token) for token in rest):
        raise StackError(
            f"{kind!r} is no kind of commands; there are: "
            f"{', '.join(f'commands.{name}' for name in KINDS)}"
        )
    return f"commands.v1.{'.'.join(rest)}.>"


def _plain(token: str) -> bool:
    return token.replace("-", "").replace("_", "").isalnum()


async def count(client: Client, subject: str) -> int:
    """Return how many commands there are on `subject`, those in flight included."""
    return sum((await _subjects(client, "COMMANDS", subject)).values())


async def clear(client: Client, subject: str) -> int:
    """Delete the commands on `subject`; return how many. What is being done is still done.

    Whoever asked for them is not told: an augmentation task stays as it is, unfinished.
    """
    answer = await api.api_call(client, "STREAM.PURGE.COMMANDS", {"filter": subject})
    return int(answer["purged"])


def render(queues: list[Queue]) -> Table:
    """Return a table with a line for each consumer."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column("consumer")
    for name in ("pending", "in flight", "redelivered", "lag s", "dead", "replays"):
        table.add_column(name, justify="right")
    table.add_column("")
    for queue in queues:
        dead = Text(str(queue.dead), style="red" if queue.dead else "dim")
        numbers = [str(n) for n in (queue.pending, queue.in_flight, queue.redelivered)]
        table.add_row(
            queue.consumer, *numbers, f"{queue.lag_s:g}", dead, str(queue.replays), _note(queue)
        )
    return table


def _note(queue: Queue) -> str:
    if not queue.exists:
        return f"not made yet: {queue.service} has not started"
    return f"paused until {moments.shown(queue.paused_until)}" if queue.paused_until else ""
