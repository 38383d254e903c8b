"""Pauses of consumers, by people and by the brake: on JetStream and in memory."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from imagesystem import ids
from imagesystem.bus import Bus, Received
from imagesystem.bus.jetstream import JetStreamBus
from imagesystem.bus.memory import MemoryBus
from imagesystem.errors import Permanent, Rejected
from imagesystem.events import Event

from tests.contract.buses import durable, until, uploaded
from tests.contract.conftest import BRAKE

pytestmark = pytest.mark.contract

CONSUMER = durable("registry-test", subjects=["images.v1.*.uploaded"])
OTHER = durable("registry-other", subjects=["images.v1.*.uploaded"])


class Ear:
    """A handler that remembers what it heard, and raises `error` if there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.heard: list[str] = []
        self.error = error

    async def hear(self, received: Received[Event]) -> None:
        self.heard.append(received.subject)
        if self.error is not None:
            raise self.error


async def test_a_paused_consumer_hears_nothing_and_the_others_go_on(bus: Bus) -> None:
    ear, other = Ear(), Ear()
    consumption, neighbour = (
        await bus.consume(CONSUMER, ear.hear),
        await bus.consume(OTHER, other.hear),
    )
    assert await bus.paused_until(CONSUMER) is None
    end = ids.now() + timedelta(hours=1)
    await bus.pause(CONSUMER, end)
    await bus.publish(uploaded("meanwhile"), expected=0)
    await until(lambda: other.heard)
    assert ear.heard == []
    assert await bus.paused_until(CONSUMER) == end
    assert await bus.paused_until(OTHER) is None
    assert await bus.paused() == {CONSUMER.name: end}
    assert consumption.healthy is None, "it is no fault"
    await bus.pause(CONSUMER, None)
    await until(lambda: ear.heard)
    assert ear.heard == other.heard
    assert await bus.paused_until(CONSUMER) is None
    assert await bus.paused() == {}
    await consumption.stop()
    await neighbour.stop()


async def test_a_pause_ends_by_itself(bus: Bus) -> None:
    ear = Ear()
    consumption = await bus.consume(CONSUMER, ear.hear)
    end = ids.now() + timedelta(seconds=1.5)
    await bus.pause(CONSUMER, end)
    await bus.publish(uploaded("meanwhile"), expected=0)
    await until(lambda: ear.heard)
    assert ids.now() >= end
    await consumption.stop()


async def test_a_pause_survives_a_restart_of_the_consumer(bus: Bus) -> None:
    ear = Ear()
    consumption = await bus.consume(CONSUMER, ear.hear)
    end = ids.now() + timedelta(hours=1)
    await bus.pause(CONSUMER, end)
    await consumption.stop()
    consumption = await bus.consume(CONSUMER, ear.hear)
    other = Ear()
    neighbour = await bus.consume(OTHER, other.hear)
    await bus.publish(uploaded("meanwhile"), expected=0)
    await until(lambda: other.heard)
    assert ear.heard == []
    assert await bus.paused_until(CONSUMER) == end
    await bus.pause(CONSUMER, None)
    await until(lambda: ear.heard)
    await consumption.stop()
    await neighbour.stop()


async def test_a_consumer_that_is_not_there_is_not_paused(bus: Bus) -> None:
    assert await bus.paused_until(CONSUMER) is None


async def test_the_brake_stops_a_consumer_before_everything_is_a_dead_letter(bus: Bus) -> None:
    """It says so, holds for as long as it was told, and goes on by itself."""
    ear = Ear(KeyError("a bug in what was just deployed"))
    consumer = durable(CONSUMER.name, attempts=1, concurrency=1)
    consumption = await bus.consume(consumer, ear.hear)
    for number in range(30):
        await bus.publish(uploaded(str(number)), expected=0)
    await until(lambda: consumption.healthy)
    line = consumption.healthy or ""
    assert f"{consumer.name}: {BRAKE.least} of the last {BRAKE.least} messages" in line
    assert "paused until" in line
    braked = await bus.paused_until(consumer)
    assert braked is not None
    assert list(await bus.paused()) == [consumer.name]
    assert BRAKE.least <= len(ear.heard) < 15
    ear.error = None
    await until(lambda: len(ear.heard) >= 30)
    assert ids.now() >= braked
    await until(lambda: consumption.healthy is None)
    assert await bus.paused() == {}
    await consumption.stop()


async def test_what_was_in_hand_does_not_pull_the_brake_again(bus: Bus) -> None:
    ear = Ear(KeyError("a bug"))
    together = asyncio.Barrier(32)

    async def hear(received: Received[Event]) -> None:
        await together.wait()
        await ear.hear(received)

    consumer = durable(CONSUMER.name, attempts=1, concurrency=32)
    consumption = await bus.consume(consumer, hear)
    for number in range(32):
        await bus.publish(uploaded(str(number)), expected=0)
    await until(lambda: len(ear.heard) == 32)
    await until(lambda: consumption.healthy)
    await consumption.stop()
    assert isinstance(bus, JetStreamBus | MemoryBus)
    pulled = bus._measures.registry.get_sample_value(
        "consumer_brakes_total", {"consumer": consumer.name}
    )
    assert pulled == 1
    assert (consumption.healthy or "").startswith(f"{consumer.name}: {BRAKE.least} of the last")


async def test_the_brake_is_let_go_by_hand(bus: Bus) -> None:
    ear = Ear(Permanent("a bug", code="bug"))
    consumption = await bus.consume(durable(CONSUMER.name, concurrency=1), ear.hear)
    for number in range(12):
        await bus.publish(uploaded(str(number)), expected=0)
    await until(lambda: consumption.healthy)
    ear.error = None
    await bus.pause(CONSUMER, None)
    await until(lambda: consumption.healthy is None)
    await consumption.stop()


async def test_what_clients_send_does_not_pull_the_brake(bus: Bus) -> None:
    """Broken pictures are rejected one by one; nobody else's wait because of them."""
    ear = Ear(Rejected(422, "corrupt_pixels", "broken"))
    consumption = await bus.consume(CONSUMER, ear.hear)
    for number in range(4 * BRAKE.least):
        await bus.publish(uploaded(str(number)), expected=0)
    await until(lambda: len(ear.heard) == 4 * BRAKE.least)
    assert await bus.paused() == {}
    await consumption.stop()


async def test_asking_for_every_message_is_cheap(bus: Bus) -> None:
    """A thousand questions at once are answered from one look."""
    consumption = await bus.consume(CONSUMER, Ear().hear)
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(bus.paused_until(CONSUMER) for _ in range(1000)))
    assert set(answers) == {None}
    await consumption.stop()
