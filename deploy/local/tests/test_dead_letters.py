"""`image-system dead-letters` on a stack of the real servers, with nobody to handle replays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from imagesystem import connection, ids
from imagesystem.bus.jetstream import JetStreamBus
from imagesystem.events import DeadLetter, letter_id
from imagesystem.metrics import Metrics
from local_stack import Stack, cli, queues
from local_stack.errors import StackError
from typer.testing import CliRunner

pytestmark = pytest.mark.integration

COMMANDS = CliRunner()
CONSUMER = "inference-uploaded"


def dead(number: int, **more: object) -> DeadLetter:
    now = ids.now()
    fields: dict[str, object] = {
        "letter_id": letter_id(CONSUMER, "IMAGES", number),
        "consumer": CONSUMER,
        "stream": "IMAGES",
        "sequence": number,
        "message_subject": f"images.v1.image-{number}.uploaded",
        "headers": {"ce-id": f"event-{number}"},
        "payload": b'{"filename": "cat.png"}',
        "code": "worker_died",
        "error": "WorkerDied",
        "message": "the process died",
        "attempts": 4,
        "first_at": now,
        "last_at": now,
        "traceback": "Traceback (most recent call last): …",
    }
    return DeadLetter(**(fields | more))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
async def own(
    tmp_path_factory: pytest.TempPathFactory, make_stack: Callable[..., Stack]
) -> AsyncIterator[Stack]:
    """A stack whose letters are this module's."""
    async with make_stack(tmp_path_factory.mktemp("letters")) as running:
        client = await connection.connect(running.nats_url("registry"), "registry")
        await connection.provision(client, "registry")
        await client.close()
        yield running


@pytest.fixture
async def said(own: Stack) -> AsyncIterator[Stack]:
    """Three letters of inference, which says them; gone afterwards."""
    client = await connection.connect(own.nats_url("inference"), "inference")
    bus = JetStreamBus(client, "inference", Metrics())
    for letter in (dead(1), dead(2, code="object_missing"), dead(3, payload=b"\xff")):
        await bus.publish(letter)
    yield own
    await client.close()
    ended = await command(own, "discard", "--all", "--yes")
    assert ended.exit_code == 0, ended.output


async def command(stack: Stack, *arguments: str) -> Any:
    """Run `image-system dead-letters …` on the stack, in a thread for its own event loop."""
    line = ["dead-letters", *arguments, "--data-dir", str(stack.data_dir)]
    return await asyncio.to_thread(COMMANDS.invoke, cli.app, line)


async def listed(stack: Stack, *filters: str) -> list[int]:
    ended = await command(stack, "list", "--json", *filters)
    assert ended.exit_code == 0, ended.output
    return [item["sequence"] for item in json.loads(ended.stdout)["items"]]


async def test_listed_for_programs_and_for_people(said: Stack) -> None:
    assert await listed(said) == [3, 2, 1]
    assert await listed(said, "--code", "object_missing") == [2]
    assert await listed(said, "--consumer", "metadata-facts") == []
    assert await listed(said, "--since", "1h", "--limit", "2") == [3, 2]
    assert await listed(said, "--until", "1h") == []
    ended = await command(said, "list")
    assert dead(1).letter_id in ended.output
    assert "worker_died" in ended.output


async def test_shown_whole(said: Stack) -> None:
    ended = await command(said, "show", dead(1).letter_id)
    assert ended.exit_code == 0, ended.output
    for part in ("cat.png", "event-1", "worker_died", "Traceback", "images.v1.image-1.uploaded"):
        assert part in ended.output
    ended = await command(said, "show", dead(3).letter_id, "--json")
    assert json.loads(ended.stdout)["payload"] == "/w=="


async def test_replays_are_asked_for_once(said: Stack) -> None:
    ended = await command(said, "replay", dead(1).letter_id)
    assert ended.exit_code == 0, ended.exception
    assert f"{CONSUMER} will try again" in ended.output
    ended = await command(said, "replay", "--code", "worker_died")
    assert "1 letters will be tried again; 1 were asked for before" in ended.output
    async with queues.connected(said.nats_url("operator")) as operator:
        assert await queues.count(operator, f"commands.v1.replay.{CONSUMER}.>") == 2


async def test_discarded_by_id_or_once_it_is_confirmed(said: Stack) -> None:
    ended = await command(said, "discard", dead(2).letter_id)
    assert ended.exit_code == 0, ended.exception
    ended = await command(said, "discard", "--consumer", CONSUMER)
    assert isinstance(ended.exception, StackError)
    assert "2 letters would be discarded" in str(ended.exception)
    assert await listed(said) == [3, 1]
    ended = await command(said, "discard", "--consumer", CONSUMER, "--yes")
    assert "2 letters discarded" in ended.output
    assert await listed(said) == []
    ended = await command(said, "list")
    assert "no such dead letters" in ended.output


@pytest.mark.parametrize("verb", ["replay", "discard"])
@pytest.mark.parametrize("which", [(), ("id", "--all"), ("id", "--code", "x")])
async def test_it_must_be_clear_which(own: Stack, verb: str, which: tuple[str, ...]) -> None:
    ended = await command(own, verb, *which)
    assert isinstance(ended.exception, StackError)
    assert "which letters" in str(ended.exception)


@pytest.mark.parametrize("arguments", [("show", "none"), ("replay", "none"), ("discard", "none")])
async def test_no_such_letter(own: Stack, arguments: tuple[str, ...]) -> None:
    ended = await command(own, *arguments)
    assert isinstance(ended.exception, StackError)
    assert "no dead letter 'none'" in str(ended.exception)


async def test_a_time_that_is_none(own: Stack) -> None:
    ended = await command(own, "list", "--since", "yesterday")
    assert isinstance(ended.exception, StackError)
    assert "2h" in str(ended.exception)
