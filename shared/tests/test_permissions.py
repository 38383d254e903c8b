"""Who may ask for replays, discard letters and pause consumers; and that queues have one owner."""

from __future__ import annotations

import itertools

import pytest
from imagesystem.permissions import OPERATOR, USERS
from imagesystem.topology import CONSUMERS, REPLAYS, SERVICES, Consumer, replays_of

DISCARD = "$JS.API.STREAM.MSG.DELETE.DEAD_LETTERS"
REPLAY = "commands.v1.replay.*.*"


def test_whoever_asks_for_replays_may_discard_and_nobody_else() -> None:
    for what in (REPLAY, DISCARD):
        assert {user for user, may in USERS.items() if what in may.publish} == {
            "metadata",
            OPERATOR,
        }


def test_nobody_may_delete_facts_one_by_one_or_purge_letters() -> None:
    for user, may in USERS.items():
        assert not [
            subject
            for subject in may.publish
            if subject.startswith("$JS.API.STREAM.MSG.DELETE.") and subject != DISCARD
        ]
        assert "$JS.API.STREAM.PURGE.DEAD_LETTERS" not in may.publish or user == "registry"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_writes_letters_of_its_own_consumers_and_pauses_those(service: str) -> None:
    own = {consumer.name for consumer in CONSUMERS.values() if consumer.service == service}
    may = USERS[service].publish
    assert {subject.split(".")[2] for subject in may if subject.startswith("dead.")} == own
    paused = {subject.split(".")[-1] for subject in may if ".CONSUMER.PAUSE." in subject}
    assert paused == own | {REPLAYS[name].name for name in own}


def test_the_operator_may_pause_everything_that_is_declared() -> None:
    may = USERS[OPERATOR].publish
    for consumer in (*CONSUMERS.values(), *REPLAYS.values()):
        assert f"$JS.API.CONSUMER.PAUSE.{consumer.stream}.{consumer.name}" in may


def _overlap(one: str, other: str) -> bool:
    return len(one.split(".")) == len(other.split(".")) and all(
        a == b or "*" in (a, b) for a, b in zip(one.split("."), other.split("."), strict=True)
    )


def test_no_two_consumers_of_a_work_queue_want_the_same() -> None:
    """The server refuses the second one."""
    queue = [c for c in (*CONSUMERS.values(), *REPLAYS.values()) if c.stream == "COMMANDS"]
    for one, other in itertools.combinations(queue, 2):
        for subject, another in itertools.product(one.subjects, other.subjects):
            assert not _overlap(subject, another), (one.name, other.name)


def test_replays_have_the_patience_of_their_consumer() -> None:
    consumer = Consumer(
        name="a-b", service="image", stream="IMAGES", subjects=("x",), attempts=9, concurrency=32
    )
    replays = replays_of(consumer)
    assert (replays.service, replays.attempts) == ("image", 9)
    assert replays.subjects == ("commands.v1.replay.a-b.*",)
    assert replays.concurrency < consumer.concurrency
