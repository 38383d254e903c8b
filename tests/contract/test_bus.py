"""One suite for the bus, on JetStream and on its in-memory twin."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from imagesystem import connection, ids
from imagesystem.bus import Bus, Received
from imagesystem.bus.memory import MemoryBus
from imagesystem.errors import (
    ImageDeleted,
    Permanent,
    Transient,
    Unavailable,
    UndecodableEvent,
    WrongSequence,
)
from imagesystem.events import Deleted, Event, Failed, Planned, Uploaded, decode

from tests.contract.buses import augmented, deleted, durable, letter_of, planned, until, uploaded

pytestmark = pytest.mark.contract


async def test_the_latest_fact_of_each_subject_is_kept(bus: Bus) -> None:
    first = uploaded()
    await bus.publish(first, expected=0)
    await bus.publish(planned(first.image_id, "analysis"))
    said = await bus.publish(planned(first.image_id, "analysis", "text"))
    latest = await bus.latest(f"images.v1.{first.image_id}.planned")
    assert latest is not None
    assert latest.sequence == said.sequence
    assert isinstance(latest.event, Planned)
    assert latest.event.tasks == ["analysis", "text"]
    facts = await bus.facts(first.image_id)
    assert [fact.subject.rpartition(".")[2] for fact in facts] == ["uploaded", "planned"]
    assert await bus.latest(f"images.v1.{first.image_id}.deleted") is None


async def test_an_image_may_have_any_number_of_facts(bus: Bus) -> None:
    """More than the 1024 subjects that the server answers the latest of at once."""
    first = uploaded()
    await bus.publish(first, expected=0)
    variants = [augmented(first.image_id, number) for number in range(1100)]
    for begin in range(0, 1100, 50):
        await asyncio.gather(*map(bus.publish, variants[begin : begin + 50]))
    facts = await bus.facts(first.image_id)
    assert {fact.subject for fact in facts} == {one.subject for one in (first, *variants)}
    assert len(facts) == 1101
    sequences = [fact.sequence for fact in facts]
    assert sequences == sorted(sequences)


async def test_facts_of_a_newer_contract_are_passed_over(nats_url: str, bus: Bus) -> None:
    if isinstance(bus, MemoryBus):
        pytest.skip("nothing unknown can be said to the twin")
    first = uploaded()
    await bus.publish(first, expected=0)
    client = await connection.connect(nats_url, "registry")
    try:
        await client.jetstream().publish(f"images.v1.{first.image_id}.dreamt", b"{}")
    finally:
        await client.close()
    assert [fact.event for fact in await bus.facts(first.image_id)] == [first]


async def test_an_expected_sequence_that_is_not_there_is_refused(bus: Bus) -> None:
    fact = uploaded()
    said = await bus.publish(fact, expected=0)
    with pytest.raises(WrongSequence):
        await bus.publish(fact, expected=0)
    await bus.publish(fact, expected=said.sequence)


async def test_facts_after_the_tombstone_are_refused_until_it_is_removed(bus: Bus) -> None:
    fact = uploaded()
    await bus.publish(fact, expected=0)
    tombstone = await bus.publish(deleted(fact.image_id))
    with pytest.raises(ImageDeleted):
        await bus.publish(planned(fact.image_id, "analysis"))
    assert await bus.forget(f"images.v1.{fact.image_id}.>", below=tombstone.sequence) == 1
    (left,) = await bus.facts(fact.image_id)
    assert isinstance(left.event, Deleted)
    await bus.forget(f"images.v1.{fact.image_id}.deleted")
    await bus.publish(fact, expected=0)
    await bus.publish(planned(fact.image_id, "analysis"))


async def test_a_resolved_failure_leaves_the_log(bus: Bus) -> None:
    fact = uploaded()
    await bus.publish(fact, expected=0)
    failed = Failed(
        image_id=fact.image_id,
        stage="analysis",
        code="corrupt_pixels",
        message="",
        attempts=1,
        failed_at=ids.now(),
    )
    await bus.publish(failed)
    assert await bus.latest(failed.subject) is not None
    await bus.publish(msgspec.structs.replace(failed, resolved=True))
    async with asyncio.timeout(20):
        while await bus.latest(failed.subject) is not None:
            await asyncio.sleep(0.1)


async def test_a_consumer_hears_what_was_said_before_and_after_it_came(bus: Bus) -> None:
    heard: list[str] = []

    async def hear(received: Received[Event]) -> None:
        heard.append(received.subject)

    before, after = uploaded("before"), uploaded("after")
    await bus.publish(before, expected=0)
    consumption = await bus.consume(durable("registry-test"), hear)
    await bus.publish(after, expected=0)
    await until(lambda: len(heard) == 2)
    assert heard == [before.subject, after.subject]
    assert consumption.healthy is None
    await consumption.stop()


async def test_a_transient_error_is_tried_again(bus: Bus) -> None:
    attempts: list[int] = []

    async def stumble(received: Received[Event]) -> None:
        attempts.append(received.attempts)
        if len(attempts) < 3:
            raise Transient("not yet")

    consumption = await bus.consume(durable("registry-test"), stumble)
    await bus.publish(uploaded(), expected=0)
    await until(lambda: len(attempts) == 3)
    assert attempts == [1, 2, 3]
    await consumption.stop()


@pytest.mark.parametrize(
    ("error", "code", "attempts"),
    [
        (Permanent("never", code="no_way"), "no_way", 1),
        (Transient("busy", code="busy"), "busy", 3),
        (KeyError("unforeseen"), "unexpected_error", 3),
    ],
)
async def test_what_cannot_be_handled_becomes_a_dead_letter_with_everything(
    bus: Bus, error: Exception, code: str, attempts: int
) -> None:
    given_up: list[tuple[str, str, int]] = []

    async def fail(_: Received[Event]) -> None:
        raise error

    async def gave_up(received: Received[Event], why: Permanent, tried: int) -> None:
        given_up.append((received.subject, why.code, tried))

    consumer = durable("registry-test")
    fact = uploaded()
    consumption = await bus.consume(consumer, fail, gave_up=gave_up)
    said = await bus.publish(fact, expected=0)
    await until(lambda: given_up)
    letter = await letter_of(bus, consumer, said.sequence)
    assert letter is not None
    assert (letter.code, letter.attempts, letter.message_subject) == (code, attempts, fact.subject)
    assert msgspec.json.decode(letter.payload, type=Uploaded) == fact
    assert letter.image_id == fact.image_id
    assert given_up == [(fact.subject, code, attempts)]
    await consumption.stop()


async def test_an_innocent_neighbour_of_a_poison_is_untouched(bus: Bus) -> None:
    done: list[str] = []
    poison = uploaded("poison")
    buried = asyncio.Event()

    async def handle(received: Received[Event]) -> None:
        if received.subject == poison.subject:
            raise Transient("poison")
        done.append(received.subject)

    async def gave_up(received: Received[Event], why: Permanent, tried: int) -> None:
        assert received.subject == poison.subject
        buried.set()

    consumption = await bus.consume(durable("registry-test"), handle, gave_up=gave_up)
    good = [uploaded(str(number)) for number in range(20)]
    for fact in [*good[:10], poison, *good[10:]]:
        await bus.publish(fact, expected=0)
    await asyncio.wait_for(buried.wait(), 20)
    await until(lambda: len(done) == 20)
    assert sorted(done) == sorted(fact.subject for fact in good)
    await consumption.stop()


async def test_a_deleted_image_leaves_nothing_to_do(bus: Bus) -> None:
    tried: list[int] = []

    async def late(received: Received[Event]) -> None:
        tried.append(received.attempts)
        raise ImageDeleted("gone")

    consumer = durable("registry-test")
    consumption = await bus.consume(consumer, late)
    said = await bus.publish(uploaded(), expected=0)
    await until(lambda: tried)
    await consumption.stop()
    assert tried == [1]
    assert await letter_of(bus, consumer, said.sequence) is None


async def test_an_outage_of_a_dependency_burns_no_attempts(bus: Bus) -> None:
    down = True
    seen: list[int] = []

    async def handle(received: Received[Event]) -> None:
        seen.append(received.attempts)
        if down:
            raise Unavailable("mongodb")

    consumption = await bus.consume(durable("registry-test", attempts=2), handle)
    await bus.publish(uploaded(), expected=0)
    await until(lambda: len(seen) >= 4)
    assert consumption.healthy == "waiting for mongodb"
    down = False
    await until(lambda: consumption.healthy is None)
    await consumption.stop()
    assert set(seen) == {1}


async def test_a_handler_that_hangs_is_ended(bus: Bus) -> None:
    given_up: list[str] = []

    async def hang(_: Received[Event]) -> None:
        await asyncio.Event().wait()

    async def gave_up(_: Received[Event], why: Permanent, tried: int) -> None:
        given_up.append(why.code)

    consumption = await bus.consume(
        durable("registry-test", deadline_s=0.05, attempts=2), hang, gave_up=gave_up
    )
    await bus.publish(uploaded(), expected=0)
    await until(lambda: given_up)
    assert given_up == ["deadline_exceeded"]
    await consumption.stop()


async def test_stopping_lets_a_running_handler_finish(bus: Bus) -> None:
    if isinstance(bus, MemoryBus):
        pytest.skip("the twin has no connection to flush")
    begun, finish, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(_: Received[Event]) -> None:
        begun.set()
        await finish.wait()
        finished.set()

    consumption = await bus.consume(durable("registry-test"), slow)
    await bus.publish(uploaded(), expected=0)
    await begun.wait()
    stopping = asyncio.create_task(consumption.stop())
    finish.set()
    await stopping
    assert finished.is_set()


def test_what_the_contract_does_not_know_is_undecodable() -> None:
    with pytest.raises(UndecodableEvent):
        decode("images.v2.x.uploaded", b"{}")
    with pytest.raises(UndecodableEvent):
        decode("images.v1.x.uploaded", b"\xff")
    with pytest.raises(UndecodableEvent):
        decode("images.v1.x.uploaded", b"{}")
