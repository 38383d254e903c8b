"""`image-system queues`: what it counts, what it clears, and what its user may not do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import nats.errors
import pytest
from imagesystem import connection
from imagesystem.bus import api, provisioning
from imagesystem.permissions import OPERATOR, inbox_prefix
from imagesystem.topology import CONSUMERS
from local_stack import Stack, cli, queues
from local_stack.errors import StackError
from nats.aio.client import Client
from nats.aio.msg import Msg
from typer.testing import CliRunner

pytestmark = pytest.mark.integration

COMMANDS = CliRunner()
#: A consumer that the stand-ins leave alone, and a command for it.
CONSUMER = CONSUMERS["inference-analysis"]
SUBJECT = "commands.v1.infer.analysis.3c1666dd-8b4e-87eb-b961-cfddeec03b7b"
OTHER = "commands.v1.augment.task-1.0"


@asynccontextmanager
async def user(stack: Stack, name: str) -> AsyncIterator[Client]:
    client = await nats.connect(
        stack.nats_url(name), inbox_prefix=inbox_prefix(name), allow_reconnect=False
    )
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture(scope="module")
async def own(
    tmp_path_factory: pytest.TempPathFactory, make_stack: Callable[..., Stack]
) -> AsyncIterator[Stack]:
    """A stack whose queues are this module's."""
    async with make_stack(tmp_path_factory.mktemp("queues")) as running:
        async with user(running, "registry") as registry:
            await connection.provision(registry, "registry")
        async with user(running, "inference") as inference:
            await provisioning.ensure_consumer(inference, CONSUMER)
        yield running


async def say(client: Client, subject: str) -> None:
    answer = msgspec.json.decode((await client.request(subject, b"{}")).data)
    assert "error" not in answer


async def take(client: Client) -> Msg:
    """Pull one message, which stays unacknowledged."""
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    pull = f"$JS.API.CONSUMER.MSG.NEXT.COMMANDS.{CONSUMER.name}"
    await client.publish(pull, b'{"batch": 1, "expires": 10000000000}', reply=inbox)
    return await subscription.next_msg(timeout=10)


async def queue_of(stack: Stack, consumer: str) -> queues.Queue:
    async with queues.connected(stack.nats_url(OPERATOR)) as client:
        return next(found for found in await queues.examine(client) if found.consumer == consumer)


async def command(stack: Stack, *arguments: str) -> Any:
    """Run `image-system queues …` on the stack, as its own event loop wants it: in a thread."""
    line = ["queues", *arguments, "--data-dir", str(stack.data_dir)]
    return await asyncio.to_thread(COMMANDS.invoke, cli.app, line)


async def test_it_counts_what_waits_what_is_under_way_and_what_is_dead(own: Stack) -> None:
    before = await queue_of(own, CONSUMER.name)
    assert (before.pending, before.in_flight, before.dead, before.lag_s) == (0, 0, 0, 0.0)
    async with user(own, "inference") as inference, user(own, "registry") as registry:
        for _ in range(3):
            await say(inference, SUBJECT)
        taken = await take(inference)
        await say(inference, f"dead.v1.{CONSUMER.name}.one")
        await say(inference, f"dead.v1.{CONSUMER.name}.two")

        found = await queue_of(own, CONSUMER.name)
        assert (found.pending, found.in_flight, found.redelivered, found.dead) == (2, 1, 0, 2)
        # the second of the three is the oldest that nobody has
        info = await api.api_call(registry, "STREAM.INFO.COMMANDS")
        second = await inference.request("$JS.API.DIRECT.GET.COMMANDS", b'{"seq": 2}')
        then = msgspec.convert((second.headers or {})["Nats-Time-Stamp"], datetime)
        age = (msgspec.convert(info["ts"], datetime) - then).total_seconds()
        assert 0 < found.lag_s <= age

        await taken.nak()
        again = await take(inference)
        while again.metadata.num_delivered == 1:  # the nak may come after the pull
            await again.ack()
            again = await take(inference)
        assert (await queue_of(own, CONSUMER.name)).redelivered == 1
        await again.ack()


async def test_replays_that_wait_are_counted(own: Stack) -> None:
    before = await queue_of(own, CONSUMER.name)
    async with user(own, "metadata") as metadata:
        for letter in ("one", "two"):
            await say(metadata, f"commands.v1.replay.{CONSUMER.name}.{letter}")
    found = await queue_of(own, CONSUMER.name)
    assert (before.replays, found.replays) == (0, 2)
    assert (await queue_of(own, "inference-text")).replays == 0
    ended = await command(own)
    assert "replays" in ended.output


async def test_a_consumer_that_nobody_made_is_said_to_be_missing(own: Stack) -> None:
    assert not (await queue_of(own, "image-deleted")).exists


async def test_for_programs_and_for_people(own: Stack) -> None:
    ended = await command(own, "--json")
    assert ended.exit_code == 0, ended.output
    assert {queue["consumer"] for queue in json.loads(ended.stdout)} == set(CONSUMERS)
    ended = await command(own)
    assert ended.exit_code == 0
    for consumer in CONSUMERS:
        assert consumer in ended.output


async def test_clear_deletes_one_kind_once_it_is_confirmed(own: Stack) -> None:
    async with user(own, "inference") as inference, user(own, "augmentation") as augmentation:
        await say(inference, SUBJECT)
        await say(augmentation, OTHER)
        ended = await command(own, "clear", "commands.augment")
        assert isinstance(ended.exception, StackError)
        assert "1 commands would be deleted" in str(ended.exception)
        assert "--yes" in str(ended.exception)
        assert (await command(own, "clear", "commands.augment.task-2", "--yes")).exit_code == 0
        async with queues.connected(own.nats_url(OPERATOR)) as operator:
            assert await queues.count(operator, "commands.v1.augment.>") == 1

        ended = await command(own, "clear", "commands.augment", "--yes")
        assert ended.exit_code == 0, ended.output
        assert ended.output.startswith("1 commands deleted")
    async with queues.connected(own.nats_url(OPERATOR)) as operator:
        assert await queues.count(operator, "commands.v1.augment.>") == 0
        assert await queues.count(operator, "commands.v1.infer.>") > 0


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("images", "no queue of commands"),
        ("images.v1.>", "no queue of commands"),
        ("IMAGES", "no queue of commands"),
        ("dead.v1", "no queue of commands"),
        ("commands", "no kind of commands"),
        ("commands.>", "no kind of commands"),
        ("commands.v1.*", "no kind of commands"),
        ("commands.augment.*", "no kind of commands"),
        ("commands.nonsense", "no kind of commands"),
    ],
)
def test_clear_refuses_everything_but_a_kind_of_commands(kind: str, why: str) -> None:
    with pytest.raises(StackError, match=why):
        queues.kind_subject(kind)


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("commands.augment", "commands.v1.augment.>"),
        ("commands.v1.augment", "commands.v1.augment.>"),
        ("commands.v1.augment.>", "commands.v1.augment.>"),
        ("commands.infer.analysis", "commands.v1.infer.analysis.>"),
    ],
)
def test_a_kind_of_commands_is_a_prefix_of_subjects(kind: str, subject: str) -> None:
    assert queues.kind_subject(kind) == subject


def test_options_before_the_command_are_not_overlooked() -> None:
    ended = COMMANDS.invoke(cli.app, ["queues", "--data-dir", "x", "clear", "commands.augment"])
    assert ended.exit_code == 2
    assert "come after" in ended.output


async def test_where_nothing_runs_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="image-system up"):
        queues.operator_url(tmp_path)


async def test_a_wrong_password_is_one_line(own: Stack) -> None:
    port = own.parts["nats"].port
    with pytest.raises(StackError, match="does not let the operator in"):
        async with queues.connected(f"nats://{OPERATOR}:wrong@127.0.0.1:{port}"):
            pass


@pytest.mark.parametrize(
    "subject",
    [
        "images.v1.3c1666dd-8b4e-87eb-b961-cfddeec03b7b.deleted",
        SUBJECT,
        "$JS.API.STREAM.PURGE.IMAGES",
        "$JS.API.STREAM.PURGE.DEAD_LETTERS",
        "$JS.API.STREAM.DELETE.COMMANDS",
        "$JS.API.STREAM.UPDATE.COMMANDS",
        f"$JS.API.CONSUMER.MSG.NEXT.COMMANDS.{CONSUMER.name}",
        f"$JS.API.CONSUMER.DELETE.COMMANDS.{CONSUMER.name}",
        "$O.originals.M.x",
        "$KV.tasks.augmentation.x",
    ],
)
async def test_the_operator_may_do_nothing_else(own: Stack, subject: str) -> None:
    refusals: asyncio.Queue[str] = asyncio.Queue()

    async def on_error(error: Exception) -> None:
        refusals.put_nowait(str(error).lower())

    client = await nats.connect(
        own.nats_url(OPERATOR),
        inbox_prefix=inbox_prefix(OPERATOR),
        allow_reconnect=False,
        error_cb=on_error,
    )
    try:
        await client.publish(subject, b"{}")
        async with asyncio.timeout(10):
            assert "permissions violation" in await refusals.get()
    finally:
        await client.close()
