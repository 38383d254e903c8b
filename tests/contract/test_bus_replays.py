"""Dead letters come back to the one consumer that gave up: on JetStream and in memory."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from imagesystem import ids
from imagesystem.bus import Bus, Received
from imagesystem.errors import ImageDeleted, Permanent, Transient
from imagesystem.events import DeadLetter, Event, Infer, Replay, Uploaded

from tests.contract.buses import durable, letter_of, planned, until, uploaded

pytestmark = pytest.mark.contract

FIRST = durable("registry-test", subjects=["images.v1.*.uploaded"])


class Hand:
    """A handler that fails for as long as `error` is set, and remembers what it was given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.given: list[Received[Event]] = []
        self.given_up: list[tuple[str, int]] = []

    async def handle(self, received: Received[Event]) -> None:
        self.given.append(received)
        if self.error is not None:
            raise self.error

    async def gave_up(self, received: Received[Event], why: Permanent, attempts: int) -> None:
        self.given_up.append((why.code, attempts))


async def buried(bus: Bus, hand: Hand) -> tuple[Uploaded, DeadLetter]:
    """Return a fact that `hand`, which fails, has given up on, and the letter."""
    fact, before = uploaded(), len(hand.given_up)
    said = await bus.publish(fact, expected=0)
    await until(lambda: len(hand.given_up) > before)
    letter = await letter_of(bus, FIRST, said.sequence)
    assert letter is not None
    return fact, letter


async def replay(bus: Bus, letter: DeadLetter) -> None:
    await bus.publish(
        Replay(consumer=letter.consumer, letter_id=letter.letter_id, requested_at=ids.now())
    )


async def gone(bus: Bus, letter: DeadLetter) -> None:
    """Wait until the letter and the command for it are gone."""
    command = f"commands.v1.replay.{letter.consumer}.{letter.letter_id}"
    async with asyncio.timeout(20):
        while await bus.latest(letter.subject) or await bus.latest(command):
            await asyncio.sleep(0.02)


async def test_a_replayed_letter_is_handled_as_it_was_and_goes(bus: Bus) -> None:
    hand = Hand(Permanent("a bug", code="bug"))
    other = Hand()
    consumption = await bus.consume(FIRST, hand.handle, gave_up=hand.gave_up)
    neighbour = await bus.consume(
        durable("registry-other", subjects=["images.v1.*.uploaded"]), other.handle
    )
    fact, letter = await buried(bus, hand)
    hand.error = None
    await replay(bus, letter)
    await gone(bus, letter)
    first, again = hand.given
    assert (again.event, again.subject) == (fact, first.subject)
    assert (again.sequence, again.published_at) == (first.sequence, first.published_at)
    assert again.headers.get("ce-id") == first.headers.get("ce-id")
    assert len(other.given) == 1, "only the one that gave up hears it again"
    await consumption.stop()
    await neighbour.stop()


async def test_a_replay_that_fails_is_the_same_letter_again(bus: Bus) -> None:
    hand = Hand(Permanent("a bug", code="bug"))
    consumption = await bus.consume(FIRST, hand.handle, gave_up=hand.gave_up)
    _, letter = await buried(bus, hand)
    hand.error = Transient("busy", code="busy")
    await replay(bus, letter)
    await until(lambda: len(hand.given_up) == 2)
    again = await bus.latest(letter.subject)
    assert again is not None
    assert isinstance(again.event, DeadLetter)
    assert (again.event.code, again.event.message) == ("busy", "busy")
    assert again.event.attempts == 1 + FIRST.attempts
    assert again.event.first_at == letter.first_at
    assert again.event.last_at > letter.last_at
    assert msgspec.structs.asdict(again.event) | {
        name: getattr(letter, name)
        for name in ("code", "error", "message", "traceback", "attempts", "last_at")
    } == msgspec.structs.asdict(letter)
    assert hand.given_up == [("bug", 1), ("busy", 1 + FIRST.attempts)]
    await consumption.stop()


async def test_a_fact_that_was_said_anew_is_not_replayed(bus: Bus) -> None:
    """The consumer has heard the newer one; the older must not undo it."""
    hand = Hand(Permanent("a bug", code="bug"))
    consumption = await bus.consume(FIRST, hand.handle, gave_up=hand.gave_up)
    fact, letter = await buried(bus, hand)
    hand.error = None
    await bus.publish(msgspec.structs.replace(fact, tags=["newer"]), expected=letter.sequence)
    await until(lambda: len(hand.given) == 2)
    await replay(bus, letter)
    await gone(bus, letter)
    assert [received.event for received in hand.given[1:]] == [
        msgspec.structs.replace(fact, tags=["newer"])
    ]
    await consumption.stop()


async def test_a_letter_about_a_deleted_image_goes(bus: Bus) -> None:
    hand = Hand(Permanent("a bug", code="bug"))
    consumption = await bus.consume(FIRST, hand.handle, gave_up=hand.gave_up)
    _, letter = await buried(bus, hand)
    hand.error = ImageDeleted("gone")
    await replay(bus, letter)
    await gone(bus, letter)
    await consumption.stop()


async def test_a_command_in_a_letter_is_replayed_as_well(bus: Bus) -> None:
    commands = durable(
        "registry-commands", stream="COMMANDS", subjects=["commands.v1.infer.test.*"]
    )
    hand = Hand(Permanent("a bug", code="bug"))
    consumption = await bus.consume(commands, hand.handle, gave_up=hand.gave_up)
    command = Infer(image_id="x", task="test", requested_at=ids.now())
    said = await bus.publish(command)
    await until(lambda: hand.given_up)
    letter = await letter_of(bus, commands, said.sequence)
    assert letter is not None
    hand.error = None
    await replay(bus, letter)
    await gone(bus, letter)
    assert [received.event for received in hand.given] == [command, command]
    await consumption.stop()


async def test_a_replay_without_a_letter_does_nothing(bus: Bus) -> None:
    hand = Hand()
    consumption = await bus.consume(FIRST, hand.handle)
    command = Replay(consumer=FIRST.name, letter_id="none", requested_at=ids.now())
    await bus.publish(command)
    async with asyncio.timeout(20):
        while await bus.latest(command.subject):
            await asyncio.sleep(0.02)
    assert hand.given == []
    await consumption.stop()


async def test_a_letter_says_when(bus: Bus) -> None:
    """When the message was said, when it was first tried, and when last."""
    hand = Hand(Transient("busy", code="busy"))
    said = await bus.publish(planned("x", "analysis"))
    before = ids.now()
    consumption = await bus.consume(durable("registry-test"), hand.handle, gave_up=hand.gave_up)
    await until(lambda: hand.given_up)
    letter = await letter_of(bus, FIRST, said.sequence)
    assert letter is not None
    assert letter.said_at is not None
    assert letter.said_at == hand.given[0].published_at
    assert letter.said_at <= before <= letter.first_at <= letter.last_at
    await consumption.stop()


async def test_a_letter_has_the_whole_traceback(bus: Bus) -> None:
    async def deep(received: Received[Event]) -> None:
        def step(left: int) -> None:
            if not left:
                raise ValueError("\udcff bottom " + "x" * 20_000)  # as undecodable file names are
            return other(left)

        def other(left: int) -> None:
            return step(left - 1)

        step(200)

    hand = Hand()
    said = await bus.publish(uploaded(), expected=0)
    consumption = await bus.consume(
        durable("registry-test", attempts=1), deep, gave_up=hand.gave_up
    )
    await until(lambda: hand.given_up)
    letter = await letter_of(bus, FIRST, said.sequence)
    assert letter is not None
    assert letter.error == "ValueError"
    assert letter.traceback.startswith("Traceback")
    assert letter.traceback.count("in step") > 200
    assert letter.traceback.rstrip().endswith("xxx")
    assert "characters …" in letter.message, "a message is for reading, and is shortened"
    await consumption.stop()
