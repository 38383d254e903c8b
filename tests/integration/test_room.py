"""Limits of stores on the real server: applied, refused, noticed, and over again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from imagesystem import connection, ids
from imagesystem.bus import api
from imagesystem.bus.consuming import JetStreamConsumption
from imagesystem.bus.port import Received
from imagesystem.errors import Permanent, StoreFull, Unavailable
from imagesystem.events import Deleted, Event
from imagesystem.metrics import Metrics
from imagesystem.room import LOOK_EVERY_S, Room, RoomyBucket, RoomyBus
from imagesystem.topology import CONSUMERS
from nats.aio.client import Client
from registry_service.settings import Settings

from tests.conftest import Server, nats_server

pytestmark = pytest.mark.integration

MIB = 1024**2
ROOM_IN_ALL = 64 * MIB
SMALL = {"dead_letters_bytes": MIB}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    config = tmp_path / "nats.conf"
    config.write_text(f"jetstream {{ max_file_store: {ROOM_IN_ALL} }}\n")
    with nats_server(tmp_path, "-c", str(config)) as server:
        yield server


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    client = await connection.connect(f"nats://127.0.0.1:{server.port}", "registry")
    yield client
    await client.close()


class Clock:
    """A clock that stands still until it is told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def limit_of(client: Client, stream: str) -> int:
    info = await api.api_call(client, f"STREAM.INFO.{stream}")
    return int(info["config"]["max_bytes"])


async def answering(bucket: RoomyBucket) -> None:
    """Return once the client has found the server again."""
    async with asyncio.timeout(30):
        while True:
            try:
                await bucket.info("a")
            except Unavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def test_limits_are_applied_to_what_exists(client: Client) -> None:
    for originals in (5 * MIB, 0, 7 * MIB):
        settings = Settings(max_originals_bytes=originals, **SMALL)
        await connection.provision(client, "registry", settings)
        assert await limit_of(client, "OBJ_originals") == (originals or -1)


async def test_a_limit_that_the_server_cannot_keep_is_one_clear_line(client: Client) -> None:
    with pytest.raises(Permanent, match=r"MAX_ORIGINALS_BYTES.*NATS_MAX_FILE") as made:
        await connection.provision(
            client, "registry", Settings(max_originals_bytes=ROOM_IN_ALL, **SMALL)
        )
    assert made.value.code == "limit_too_large"
    await connection.provision(client, "registry", Settings(**SMALL))
    with pytest.raises(Permanent, match="NATS_MAX_FILE_STORE"):
        await connection.provision(
            client, "registry", Settings(max_originals_bytes=ROOM_IN_ALL, **SMALL)
        )


async def test_a_limit_below_what_is_stored_deletes_nothing(client: Client, server: Server) -> None:
    room = Room(client)
    await connection.provision(client, "registry", Settings(**SMALL))
    bucket = RoomyBucket(client, "originals", room)
    for name in "abc":
        await bucket.put(name, bytes(MIB))
    lowered = Settings(max_originals_bytes=MIB, **SMALL)
    await connection.provision(client, "registry", lowered)
    server.kill()
    server.start()
    await answering(bucket)
    for name in "abc":
        info, data = await bucket.get(name)
        assert data == bytes(MIB)
    assert await bucket.delete(info)
    assert await bucket.info("c") is None
    with pytest.raises(StoreFull):
        await bucket.put("d", b"1")


async def test_room_is_looked_for_now_and_then(client: Client) -> None:
    clock = Clock()
    room = Room(client, clock)
    await connection.provision(client, "registry", Settings(max_originals_bytes=MIB, **SMALL))
    bucket = RoomyBucket(client, "originals", room)
    kept = await bucket.put("kept", bytes(800_000))
    assert await room.check() is None
    with pytest.raises(StoreFull):
        await bucket.put("too much", bytes(800_000))
    line = await room.check()
    assert line is not None
    assert "MAX_ORIGINALS_BYTES" in line

    await bucket.delete(kept)
    assert await room.check() == line  # nobody looked meanwhile
    clock.now += LOOK_EVERY_S
    assert await room.check() is None


async def test_room_in_all_comes_back_when_enough_is_deleted(client: Client) -> None:
    clock = Clock()
    room = Room(client, clock)
    await connection.provision(client, "registry", Settings(**SMALL))
    bucket = RoomyBucket(client, "originals", room)
    kept = []
    with pytest.raises(StoreFull):
        for number in range(10):
            kept.append(await bucket.put(f"{number}", bytes(ROOM_IN_ALL // 8)))  # noqa: PERF401
    await bucket.settled()
    line = await room.check()
    assert line is not None
    assert "NATS_MAX_FILE_STORE" in line
    await bucket.delete(kept[0])
    await bucket.delete(kept[1])
    clock.now += LOOK_EVERY_S
    assert await room.check() is None


async def test_after_a_restart_of_nats_the_next_write_shows(client: Client, server: Server) -> None:
    clock = Clock()
    room = Room(client, clock)
    await connection.provision(client, "registry", Settings(**SMALL))
    bucket = RoomyBucket(client, "originals", room)
    with pytest.raises(StoreFull):
        await bucket.put("too much", bytes(ROOM_IN_ALL + MIB))
    assert await room.check() is not None
    server.kill()
    server.start()
    await answering(bucket)
    clock.now += LOOK_EVERY_S
    assert await room.check() is None


async def test_a_write_that_fits_ends_it_at_once(client: Client) -> None:
    room = Room(client, Clock())
    await connection.provision(client, "registry", Settings(max_originals_bytes=MIB, **SMALL))
    bucket = RoomyBucket(client, "originals", room)
    with pytest.raises(StoreFull):
        await bucket.put("too much", bytes(2 * MIB))
    assert await room.check() is not None
    await bucket.put("fits", b"1")
    assert await room.check() is None


async def test_a_message_whose_handler_finds_no_room_waits(client: Client) -> None:
    await connection.provision(client, "registry", Settings(**SMALL))
    bus = RoomyBus(client, "registry", Metrics(), Room(client))
    tries: list[int] = []

    async def handler(received: Received[Event]) -> None:
        tries.append(received.attempts)
        if len(tries) < 6:  # more than the consumer has attempts
            raise StoreFull("no room")

    deleted = Deleted(image_id=ids.image_id(b"x"), reason="requested", deleted_at=ids.now())
    consumer = CONSUMERS["registry-deleted"]
    consumption: JetStreamConsumption = await bus.consume(consumer, handler)
    try:
        await bus.publish(deleted)
        await consumption_done(client, consumer.stream, consumer.name)
    finally:
        await consumption.stop()
    assert tries == [1] * 6
    letters = await api.api_call(client, "STREAM.INFO.DEAD_LETTERS")
    assert letters["state"]["messages"] == 0


async def consumption_done(client: Client, stream: str, consumer: str) -> None:
    while True:
        info = await api.api_call(client, f"CONSUMER.INFO.{stream}.{consumer}")
        if info["ack_floor"]["stream_seq"] > 0:
            return
