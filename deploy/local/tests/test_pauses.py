"""`image-system pause` and `resume` on a stack of the real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from imagesystem import connection, ids
from imagesystem.bus import provisioning
from imagesystem.permissions import OPERATOR
from imagesystem.topology import CONSUMERS, REPLAYS
from local_stack import Stack, cli, moments, pauses, queues
from local_stack.errors import StackError
from typer.testing import CliRunner

pytestmark = pytest.mark.integration

COMMANDS = CliRunner()


@pytest.fixture(scope="module")
async def own(
    tmp_path_factory: pytest.TempPathFactory, make_stack: Callable[..., Stack]
) -> AsyncIterator[Stack]:
    """A stack in which inference has made its consumers."""
    async with make_stack(tmp_path_factory.mktemp("pauses")) as running:
        for service in ("registry", "inference"):
            client = await connection.connect(running.nats_url(service), service)
            if service == "registry":
                await connection.provision(client, service)
            else:
                for consumer in (CONSUMERS["inference-text"], REPLAYS["inference-text"]):
                    await provisioning.ensure_consumer(client, consumer)
            await client.close()
        yield running


async def command(stack: Stack, *arguments: str) -> Any:
    line = [*arguments, "--data-dir", str(stack.data_dir)]
    return await asyncio.to_thread(COMMANDS.invoke, cli.app, line)


async def paused_until(stack: Stack) -> datetime | None:
    async with queues.connected(stack.nats_url(OPERATOR)) as client:
        (found,) = [q for q in await queues.examine(client) if q.consumer == "inference-text"]
    return found.paused_until


@pytest.mark.parametrize("name", ["inference.text", "inference-text"])
async def test_paused_for_a_while_and_resumed(own: Stack, name: str) -> None:
    before = ids.now()
    ended = await command(own, "pause", name, "--for", "1h30m")
    assert ended.exit_code == 0, ended.exception
    assert "inference-text is paused until" in ended.output
    until = await paused_until(own)
    assert until is not None
    assert before + timedelta(minutes=89) < until < before + timedelta(minutes=95)
    assert "paused until" in (await command(own, "queues")).output
    ended = await command(own, "resume", name)
    assert ended.exit_code == 0
    assert await paused_until(own) is None


async def test_what_nobody_made_cannot_be_paused(own: Stack) -> None:
    ended = await command(own, "pause", "augmentation.units", "--for", "10m")
    assert isinstance(ended.exception, StackError)
    assert "augmentation has not started" in str(ended.exception)


async def test_a_wrong_duration_says_what_is_right(own: Stack) -> None:
    for text in ("0s", "400d", "10", "ten", "", "-5m", "999999999d999999999d"):
        ended = await command(own, "pause", "inference.text", "--for", text)
        assert isinstance(ended.exception, StackError), text
    assert await paused_until(own) is None


def test_an_unknown_task_says_which_there_are() -> None:
    with pytest.raises(StackError, match=r"inference\.text"):
        pauses.consumer_of("inference.dreams")


def test_durations_and_times() -> None:
    noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    assert moments.duration("1d2h3m4s").total_seconds() == 93_784
    assert moments.moment("2h", noon) == noon - timedelta(hours=2)
    assert moments.moment("2026-01-01T00:00:00", noon) == datetime(2026, 1, 1, tzinfo=UTC)
    assert moments.moment("2026-01-01T02:00:00+02:00", noon) == datetime(2026, 1, 1, tzinfo=UTC)
    for text in ("tomorrow", "", "999999999d"):
        with pytest.raises(StackError):
            moments.moment(text, noon)
