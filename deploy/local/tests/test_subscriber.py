"""The read-only subscriber hears facts, and can neither say nor ask anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import nats
import nats.errors
import pytest
from imagesystem import connection
from imagesystem.permissions import inbox_prefix
from imagesystem.topology import SERVICES
from local_stack import Stack
from nats.aio.client import Client

pytestmark = pytest.mark.integration
Refusals: TypeAlias = asyncio.Queue[str]
FACT = "images.v1.3c1666dd-8b4e-87eb-b961-cfddeec03b7b.uploaded"


@asynccontextmanager
async def client(url: str, **options: object) -> AsyncIterator[tuple[Client, Refusals]]:
    refusals: Refusals = asyncio.Queue()

    async def on_error(error: Exception) -> None:
        refusals.put_nowait(str(error).lower())

    connected = await nats.connect(
        url,
        error_cb=on_error,
        allow_reconnect=False,
        **options,  # type: ignore[arg-type]
    )
    try:
        yield connected, refusals
    finally:
        await connected.close()


async def next_of(refusals: Refusals) -> str:
    async with asyncio.timeout(60):
        return await refusals.get()


@pytest.fixture
async def registry(stack: Stack) -> AsyncIterator[Client]:
    async with client(
        stack.nats_url("registry"), inbox_prefix=inbox_prefix("registry")
    ) as connected:
        await connection.provision(connected[0], "registry")
        yield connected[0]


async def test_it_hears_facts_as_they_are_said(stack: Stack, registry: Client) -> None:
    async with client(stack.subscriber_url) as (subscriber, _):
        facts = await subscriber.subscribe("images.v1.>")
        await subscriber.flush()
        await registry.request(FACT, b'{"filename": "a.png"}', headers={"ce-id": "1"})
        message = await facts.next_msg(timeout=10)
        assert (message.subject, message.data) == (FACT, b'{"filename": "a.png"}')
        assert message.headers == {"ce-id": "1"}


@pytest.mark.parametrize(
    "subject",
    [
        FACT,
        "commands.v1.infer.analysis.x",
        "dead.v1.x.y",
        "$JS.API.INFO",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.DELETE.IMAGES",
        "$JS.API.DIRECT.GET.IMAGES",
        "$JS.API.CONSUMER.MSG.NEXT.IMAGES.metadata-facts",
        "$JS.ACK.IMAGES.metadata-facts.1.1.1.1.1",
        "$O.originals.C.x",
        "$SYS.REQ.SERVER.PING",
    ],
)
async def test_it_can_say_nothing_and_ask_nothing(
    stack: Stack, registry: Client, subject: str
) -> None:
    await registry.request(FACT, b"true")
    async with client(stack.subscriber_url) as (subscriber, refusals):
        # an answer with this reply subject would overwrite the fact
        await subscriber.publish(subject, b"{}", reply=FACT)
        await subscriber.flush()
        assert "permissions violation for publish" in await next_of(refusals)
    kept = await registry.request(
        "$JS.API.DIRECT.GET.IMAGES", f'{{"last_by_subj":"{FACT}"}}'.encode()
    )
    assert kept.data == b"true"


@pytest.mark.parametrize("subject", [">", "commands.v1.>", "$JS.>", "_INBOX.>", "$SYS.>", "$O.>"])
async def test_it_hears_nothing_else(stack: Stack, subject: str) -> None:
    async with client(stack.subscriber_url) as (subscriber, refusals):
        await subscriber.subscribe(subject)
        await subscriber.flush()
        assert "permissions violation for subscription" in await next_of(refusals)


@pytest.mark.parametrize("user", ["", "subscriber:wrong@", "registry:@", "nobody:x@"])
async def test_nobody_comes_in_without_a_password(stack: Stack, user: str) -> None:
    with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
        async with client(f"nats://{user}127.0.0.1:{stack.parts['nats'].port}"):
            pass


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_may_make_what_it_owns(
    stack: Stack, registry: Client, service: str
) -> None:
    async with client(stack.nats_url(service), inbox_prefix=inbox_prefix(service)) as (own, said):
        if service == "registry":
            await connection.provision(own, service)
        else:
            with suppress(nats.errors.TimeoutError):
                await own.request("$JS.API.STREAM.DELETE.IMAGES", b"", timeout=0.3)
            assert "permissions violation" in await next_of(said)
    info = await registry.request("$JS.API.STREAM.INFO.IMAGES", b"")
    assert b'"name":"IMAGES"' in info.data
