"""Buckets with three copies: what one server has confirmed, a reader at another one finds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from imagesystem.bus import provisioning
from imagesystem.errors import ImageSystemError
from imagesystem.objects.jetstream import JetStreamBucket, stream_config
from imagesystem.topology import Bucket

from tests.conftest import Server, free_port, nats_server
from tests.contract.test_objects import connect

pytestmark = [pytest.mark.contract, pytest.mark.slow]


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[list[Server]]:
    ports = [free_port() for _ in range(3)]
    routes = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
    servers = []
    with ExitStack() as stack:
        for number, port in enumerate(ports):
            folder = tmp_path / str(number)
            folder.mkdir()
            servers.append(
                stack.enter_context(
                    nats_server(
                        folder,
                        *["--name", f"n{number}", "--cluster_name", "three"],
                        *["--cluster", f"nats://127.0.0.1:{port}", "--routes", routes],
                    )
                )
            )
        yield servers


async def until_there(url: str, config: dict[str, object]) -> None:
    """Make the stream once the servers have elected a leader."""
    client = await connect("nats-py", url)
    async with asyncio.timeout(60):
        while True:
            try:
                await provisioning.ensure_stream(client, config)
                break
            except ImageSystemError:
                await asyncio.sleep(0.2)
    await client.close()


@pytest.mark.parametrize("kind", ["nats-py", "wire"])
async def test_what_was_written_is_read_everywhere(kind: str, cluster: list[Server]) -> None:
    urls = [f"nats://127.0.0.1:{server.port}" for server in cluster]
    config = Bucket(name="copies", owner="registry", description="a test")
    await until_there(urls[0], stream_config(config, replicas=3))
    clients = [await connect(kind, url) for url in urls]
    buckets = [JetStreamBucket(client, "copies", replicas=3) for client in clients]
    for number in range(60):
        data = os.urandom(300_000)
        info = await buckets[number % 3].put("a", data)
        for bucket in buckets:
            assert await bucket.get("a") == (info, data)
            got = b"".join([piece async for piece in bucket.read(info, 140_000, 290_000)])
            assert got == data[140_000:290_000]
    assert await buckets[0].delete(info)
    for bucket in buckets[1:]:
        assert await bucket.delete(info) is False
    answer = await provisioning.api.api_call(clients[0], "STREAM.INFO.OBJ_copies")
    assert answer["state"]["messages"] == 1, "the description that says it is deleted"
    for client in clients:
        await client.close()
