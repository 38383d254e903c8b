"""The log read in order: one suite for JetStream and the in-memory twin."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from imagesystem import connection, ids
from imagesystem.bus import Bus, Stretch, provisioning
from imagesystem.bus.jetstream import JetStreamBus
from imagesystem.bus.memory import MemoryBus
from imagesystem.events import Planned, Uploaded, encode
from imagesystem.metrics import Metrics
from imagesystem.topology import STREAMS

from tests.contract.streams import empty_streams

pytestmark = pytest.mark.contract

IMAGES = next(stream for stream in STREAMS if stream.name == "IMAGES")


@pytest.fixture(params=["memory", "jetstream"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    if request.param == "memory":
        yield MemoryBus()
        return
    client = await connection.connect(request.getfixturevalue("nats_url"), "registry")
    async with empty_streams(client, [provisioning.stream_config(IMAGES)]):
        yield JetStreamBus(client, "registry", Metrics())
    await client.close()


def image(number: int) -> str:
    return ids.image_id(str(number).encode())


def uploaded(number: int) -> Uploaded:
    return Uploaded(
        image_id=image(number),
        filename=f"{number}.png",
        media_type="image/png",
        size_bytes=1,
        width=2,
        height=3,
        frames=1,
        sha256="00",
        uploaded_at=ids.now(),
    )


def planned(number: int) -> Planned:
    return Planned(image_id=image(number), tasks=["analysis"], planned_at=ids.now())


async def read(stretches: AsyncIterator[Stretch]) -> list[tuple[int, str]]:
    return [(each.sequence, each.subject) async for part in stretches for each in part.facts]


async def test_nothing_was_ever_said(bus: Bus) -> None:
    assert await read(bus.history()) == []
    assert await bus.head() == 0


async def test_every_fact_comes_once_and_in_order(bus: Bus) -> None:
    facts = [fact for number in range(25) for fact in (uploaded(number), planned(number))]
    said = [((await bus.publish(fact)).sequence, fact.subject) for fact in facts]
    assert await read(bus.history(batch=7)) == said
    assert await read(bus.history(after=said[30][0], batch=7)) == said[31:]
    assert await read(bus.history("images.v1.*.planned")) == said[1::2]
    assert await read(bus.history(f"images.v1.{image(3)}.>")) == said[6:8]
    assert await bus.head() == said[-1][0]


async def test_a_stretch_says_how_much_follows(bus: Bus) -> None:
    for number in range(10):
        await bus.publish(uploaded(number))
    parts = [(len(part.facts), part.last, part.pending) async for part in bus.history(batch=4)]
    assert parts == [(4, 4, 6), (4, 8, 2), (2, 10, 0)]


async def test_what_is_said_while_reading_comes_as_well(bus: Bus) -> None:
    for number in range(3):
        await bus.publish(uploaded(number))
    seen: list[int] = []
    async for part in bus.history(batch=2):
        seen += [each.sequence for each in part.facts]
        if len(seen) < 6:
            await bus.publish(planned(len(seen)))
    assert len(seen) >= 6
    assert seen == list(range(1, await bus.head() + 1))


async def test_only_the_latest_of_a_subject_and_its_trace_are_there(bus: Bus) -> None:
    await bus.publish(uploaded(1))
    await bus.publish(planned(1))
    again = await bus.publish(uploaded(1))
    found = [each async for part in bus.history() for each in part.facts]
    assert [each.sequence for each in found] == [again.sequence - 1, again.sequence]
    assert all(each.headers["traceparent"].startswith("00-") for each in found)


async def test_what_the_contract_cannot_read_is_told_and_passed_over(nats_url: str) -> None:
    client = await connection.connect(nats_url, "registry")
    async with empty_streams(client, [provisioning.stream_config(IMAGES)]):
        bus = JetStreamBus(client, "registry", Metrics())
        jetstream = client.jetstream()
        await jetstream.publish(f"images.v1.{image(1)}.dreamt", b"{}")
        await jetstream.publish(f"images.v1.{image(1)}.planned", b"not JSON")
        await jetstream.publish(planned(2).subject, encode(planned(2)))
        (part,) = [part async for part in bus.history()]
        assert [each.sequence for each in part.facts] == [3]
        assert [each.sequence for each in part.unread] == [1, 2]
        assert all(each.why for each in part.unread)
    await client.close()
