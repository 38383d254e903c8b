"""`image-system subscriber`: made and removed while everybody else goes on, kept over restarts."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import nats
import nats.errors
import pytest
from imagesystem import connection
from imagesystem.bus import api
from imagesystem.objects.jetstream import JetStreamBucket
from imagesystem.permissions import inbox_prefix
from local_stack import Stack, StackError, accounts, cli, homes, listening, subscribers
from local_stack.homes import EmbeddedHome
from nats.aio.client import Client
from typer.testing import CliRunner

pytestmark = pytest.mark.integration

COMMANDS = CliRunner()
IMAGE = "3c1666dd-8b4e-87eb-b961-cfddeec03b7b"
INFERRED = f"images.v1.{IMAGE}.inferred.text"
UPLOADED = f"images.v1.{IMAGE}.uploaded"


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
    """A stack whose subscribers are this module's."""
    async with make_stack(tmp_path_factory.mktemp("subscribers")) as running:
        async with user(running, "registry") as registry:
            await connection.provision(registry, "registry")
        yield running


@pytest.fixture
async def registry(own: Stack) -> AsyncIterator[Client]:
    async with user(own, "registry") as client:
        yield client


@pytest.fixture
async def home(own: Stack) -> AsyncIterator[EmbeddedHome]:
    """The stack's home of subscribers; whoever is left is removed."""
    home = EmbeddedHome(own.data_dir)
    yield home
    for left in await subscribers.examine(home):
        await subscribers.remove(home, left.name)


async def say(client: Client, subject: str) -> None:
    body = json.dumps({"image_id": subject.split(".")[2]}).encode()
    assert "error" not in msgspec.json.decode((await client.request(subject, body)).data)


async def heard(url: str, durable: str, count: int) -> list[str]:
    """Pull and acknowledge `count` facts with plain nats-py; return their subjects."""
    client = await nats.connect(url)
    try:
        facts = await client.jetstream().pull_subscribe_bind(durable, "IMAGES")
        subjects: list[str] = []
        async with asyncio.timeout(20):
            while len(subjects) < count:
                for message in await facts.fetch(count, timeout=10):
                    subjects.append(message.subject)
                    await message.ack_sync()
        return subjects
    finally:
        await client.close()


async def consumers(client: Client) -> int:
    info = await api.api_call(client, "STREAM.INFO.IMAGES")
    return int(info["state"]["consumer_count"])


async def command(stack: Stack, *arguments: str) -> Any:
    """Run `image-system subscriber …` on the stack, as its own event loop wants it: in a thread."""
    line = ["subscriber", *arguments, "--data-dir", str(stack.data_dir)]
    return await asyncio.to_thread(COMMANDS.invoke, cli.app, line)


async def test_it_hears_what_it_was_given_from_the_first_fact_on(
    home: EmbeddedHome, registry: Client, own: Stack
) -> None:
    async with user(own, "inference") as inference:
        await say(inference, INFERRED)
        await say(registry, UPLOADED)
        made = await subscribers.create(home, "acme", facts=["images.v1.*.inferred.>"])
        url = subscribers.url(home, made)
        assert await heard(url, made.durable, 1) == [INFERRED]
        # what is said while it is away waits for it
        other = INFERRED.replace("text", "faces")
        await say(inference, other)
        found = (await subscribers.examine(home))[0]
        assert (found.pending, found.in_flight, found.last_seen is not None) == (1, 0, True)
        assert await heard(url, made.durable, 1) == [other]
    assert (await subscribers.examine(home))[0].pending == 0


async def test_nobody_is_disconnected_when_others_come_and_go(
    home: EmbeddedHome, registry: Client, own: Stack
) -> None:
    first = await subscribers.create(home, "first", facts=["images.v1.*.uploaded"])
    lost: list[str] = []

    async def on_disconnect() -> None:
        lost.append("disconnected")

    first_client = await nats.connect(subscribers.url(home, first), disconnected_cb=on_disconnect)
    feed = await nats.connect(own.subscriber_url, disconnected_cb=on_disconnect)
    live = await feed.subscribe("images.v1.>")
    await feed.flush()
    clients = (registry, first_client, feed)
    ids = [client.client_id for client in clients]
    try:
        second = await subscribers.create(home, "second", facts=["images.v1.>"])
        second_client = await nats.connect(subscribers.url(home, second), allow_reconnect=False)
        await subscribers.remove(home, "second")
        async with asyncio.timeout(10):
            while not second_client.is_closed:
                await asyncio.sleep(0.05)

        for client in clients:
            await client.flush()
        assert [client.client_id for client in clients] == ids
        assert lost == []
        facts = await first_client.jetstream().pull_subscribe_bind(first.durable, "IMAGES")
        await say(registry, f"images.v1.{IMAGE[:-1]}0.uploaded")
        assert await facts.fetch(1, timeout=10)
        assert (await live.next_msg(timeout=10)).subject.endswith(".uploaded")
    finally:
        await first_client.close()
        await feed.close()


async def test_what_services_ask_is_answered_while_others_come_and_go(
    home: EmbeddedHome, registry: Client
) -> None:
    """While NATS reloads, nobody answers for JetStream: no upload or download may notice."""
    await say(registry, UPLOADED)
    bucket = JetStreamBucket(registry, "originals")
    await bucket.put(IMAGE, b"a picture" * 100_000)
    done, asked = asyncio.Event(), 0

    async def keep(ask: Callable[[], Awaitable[object]]) -> None:
        nonlocal asked
        while not done.is_set():
            await ask()
            asked += 1

    async def many() -> list[object]:
        query = {"multi_last": [UPLOADED], "batch": 10}
        return [message async for message in api.direct_get_many(registry, "IMAGES", query)]

    asks: list[Callable[[], Awaitable[object]]] = [
        lambda: api.api_call(registry, "STREAM.INFO.IMAGES"),
        lambda: api.direct_get(registry, "IMAGES", UPLOADED),
        many,
        lambda: bucket.get(IMAGE),
        lambda: bucket.info(IMAGE),
    ]
    asking = asyncio.gather(*(keep(ask) for ask in asks))
    for _ in range(3):
        await subscribers.create(home, "passer-by", facts=["images.v1.>"])
        await subscribers.remove(home, "passer-by")
    done.set()
    await asking
    assert asked > len(asks)


async def test_remove_takes_account_durable_and_password(
    home: EmbeddedHome, registry: Client, own: Stack
) -> None:
    made = await subscribers.create(home, "acme", facts=["images.v1.>"])
    url = subscribers.url(home, made)
    folder = own.data_dir / "subscribers"
    for file in ("subscribers.json", "accounts.conf"):
        assert made.password in (folder / file).read_text()
        assert stat.S_IMODE((folder / file).stat().st_mode) == 0o600
    await subscribers.remove(home, "acme")
    assert await subscribers.examine(home) == []
    with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
        await nats.connect(url, allow_reconnect=False)
    assert await consumers(registry) == 0
    for file in ("subscribers.json", "accounts.conf"):
        assert made.password not in (folder / file).read_text()
    with pytest.raises(StackError, match="there is no subscriber 'acme'"):
        await subscribers.remove(home, "acme")


async def test_a_name_is_given_once(home: EmbeddedHome) -> None:
    made = await subscribers.create(home, "acme", facts=["images.v1.*.uploaded"])
    with pytest.raises(StackError, match="there is a subscriber 'acme' already"):
        await subscribers.create(home, "acme", facts=["images.v1.>"])
    assert subscribers.find(home, "acme") == made


async def test_where_nats_does_not_take_it_nothing_is_left_behind(
    home: EmbeddedHome, registry: Client, own: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (own.data_dir / "subscribers" / "accounts.conf").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(accounts, "_ACCOUNT", accounts._ACCOUNT.replace("account: APP", "account: X"))
        patch.setattr(accounts, "_IMPORT", accounts._IMPORT.replace("account: APP", "account: X"))
        patch.setattr(subscribers, "RELOAD_DEADLINE_S", 2.0)
        with pytest.raises(StackError, match="did not take its new configuration"):
            await subscribers.create(home, "acme", facts=["images.v1.>"])
    assert (own.data_dir / "subscribers" / "accounts.conf").read_bytes() == before
    assert await consumers(registry) == 0
    made = await subscribers.create(home, "acme", facts=["images.v1.>"])
    assert made.durable == "subscriber-acme"


async def test_two_at_once_do_not_lose_each_other(home: EmbeddedHome) -> None:
    with (
        homes.keep(home),
        pytest.raises(StackError, match="somebody else is changing"),
    ):
        await subscribers.create(home, "acme", facts=["images.v1.>"])


async def test_it_is_kept_when_nats_dies(home: EmbeddedHome, registry: Client, own: Stack) -> None:
    await say(registry, UPLOADED)
    made = await subscribers.create(home, "acme", facts=[UPLOADED])
    await own.kill("nats")
    await own.wait_ready("nats")
    assert await heard(subscribers.url(home, made), made.durable, 1) == [UPLOADED]


async def test_it_is_kept_when_the_stack_is_started_again(
    tmp_path: Path, make_stack: Callable[..., Stack]
) -> None:
    async with make_stack(tmp_path) as running:
        async with user(running, "registry") as client:
            await connection.provision(client, "registry")
            await say(client, UPLOADED)
        home = EmbeddedHome(running.data_dir)
        made = await subscribers.create(home, "acme", facts=["images.v1.>"])
    with pytest.raises(StackError, match="image-system up"):
        EmbeddedHome(tmp_path)
    async with make_stack(tmp_path) as running:
        home = EmbeddedHome(running.data_dir)
        assert subscribers.find(home, "acme") == made
        assert await heard(subscribers.url(home, made), made.durable, 1) == [UPLOADED]


async def until_it_says(process: asyncio.subprocess.Process, words: str) -> None:
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(40):
        while words not in said:
            line = (await process.stdout.readline()).decode()
            assert line, f"it ended without saying {words!r}: {said}"
            said += line


@pytest.mark.parametrize("objects", [(), ("--objects", "--bucket", "variants")])
async def test_the_printed_program_runs_as_it_is(
    objects: tuple[str, ...], home: EmbeddedHome, registry: Client, own: Stack, tmp_path: Path
) -> None:
    picture = os.urandom(3_000_000)
    await JetStreamBucket(registry, "originals").put(IMAGE, picture)
    await say(registry, UPLOADED)
    facts = ("--facts", "images.v1.*.uploaded", "--facts", "images.v1.*.inferred.>")
    ended = await command(own, "create", "acme", *facts, *objects)
    assert ended.exit_code == 0, ended.output
    program = tmp_path / "listen.py"
    program.write_text(ended.stdout)
    process = await asyncio.create_subprocess_exec(
        # isolated: nothing of ours is in reach but what pip installed
        *(sys.executable, "-I", "-W", "error", str(program)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
    )
    try:
        await until_it_says(process, UPLOADED)
        if objects:
            await until_it_says(process, f"originals {IMAGE}: 3000000 bytes")
            # an object that is gone does not end it
            await say(registry, f"images.v1.{IMAGE[:-1]}1.uploaded")
            await until_it_says(process, "originals holds no")
        async with asyncio.timeout(10):
            while (now := (await subscribers.examine(home))[0]).in_flight or not now.waiting:
                await asyncio.sleep(0.05)
        assert now.pending == 0
        await own.kill("nats")
        await own.wait_ready("nats")
        async with user(own, "inference") as inference:
            await say(inference, INFERRED)
        await until_it_says(process, INFERRED)
    finally:
        process.kill()
        await process.wait()


async def test_for_programs_and_for_people(home: EmbeddedHome, own: Stack) -> None:
    ended = await command(own, "list")
    assert "there is no subscriber" in ended.stdout
    ended = await command(own, "create", "acme", "--facts", "images.v1.*.uploaded", "--json")
    assert ended.exit_code == 0, ended.output
    created = json.loads(ended.stdout)
    assert created["durable"] == "subscriber-acme"
    assert created["stream"] == "IMAGES"
    assert created["program"] == listening.program(subscribers.find(home, "acme"), created["url"])
    ended = await command(own, "show", "acme", "--json")
    assert json.loads(ended.stdout) == created
    ended = await command(own, "list", "--json")
    (listed,) = json.loads(ended.stdout)
    assert (listed["name"], listed["facts"]) == ("acme", ["images.v1.*.uploaded"])
    assert created["url"] not in ended.stdout
    assert "images.v1.*.uploaded" in (await command(own, "list")).stdout
    assert (await command(own, "remove", "acme")).stdout == "acme is removed\n"
    ended = await command(own, "create", "Acme", "--facts", "images.v1.>")
    assert isinstance(ended.exception, StackError)


async def test_a_damaged_file_is_left_alone_and_named(home: EmbeddedHome, own: Stack) -> None:
    path = own.data_dir / "subscribers" / "subscribers.json"
    kept = path.read_bytes()
    path.write_bytes(b"[{")
    try:
        with pytest.raises(StackError, match=r"subscribers\.json is damaged"):
            await subscribers.examine(home)
    finally:
        path.write_bytes(kept)
