"""Dead letters read and thrown away: in JetStream and in memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from imagesystem import ids
from imagesystem.bus import Bus
from imagesystem.bus.jetstream import JetStreamBus
from imagesystem.dead_letters import Letters, Wanted, request_replay, request_replays
from imagesystem.dead_letters import jetstream as letters_in_jetstream
from imagesystem.errors import Rejected
from imagesystem.events import DeadLetter, Replay, letter_id

pytestmark = pytest.mark.contract

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def dead(number: int, **more: object) -> DeadLetter:
    consumer = str(more.get("consumer", "metadata-facts"))
    fields: dict[str, object] = {
        "letter_id": letter_id(consumer, "IMAGES", number),
        "consumer": consumer,
        "stream": "IMAGES",
        "sequence": number,
        "message_subject": f"images.v1.image-{number}.uploaded",
        "headers": {"ce-id": str(number)},
        "payload": b'{"n": %d}' % number,
        "code": "bug",
        "error": "KeyError",
        "message": "why",
        "attempts": 1,
        "first_at": NOON,
        "last_at": NOON + timedelta(minutes=number),
        "image_id": f"image-{number}",
    }
    return DeadLetter(**(fields | more))  # type: ignore[arg-type]


async def numbers(letters: Letters, wanted: Wanted, limit: int = 50) -> list[list[int]]:
    """Return the messages' sequences, page by page."""
    pages, before = [], None
    while True:
        page = await letters.page(wanted, before=before, limit=limit)
        pages.append([letter.sequence for letter in page.letters])
        before = page.next
        if before is None:
            return pages


async def test_there_are_none(letters: Letters) -> None:
    page = await letters.page(Wanted())
    assert (page.letters, page.next) == ([], None)
    assert await letters.get("0" * 24) is None
    assert await letters.get("no.such*>") is None
    assert not await letters.discard("0" * 24)


async def test_newest_first_page_by_page(bus: Bus, letters: Letters) -> None:
    for number in range(1, 8):
        await bus.publish(dead(number))
    assert await numbers(letters, Wanted(), limit=3) == [[7, 6, 5], [4, 3, 2], [1]]
    assert await numbers(letters, Wanted(), limit=7) == [[7, 6, 5, 4, 3, 2, 1]]


async def test_pages_stay_while_letters_come_and_go(bus: Bus, letters: Letters) -> None:
    for number in range(1, 7):
        await bus.publish(dead(number))
    first = await letters.page(Wanted(), limit=2)
    await bus.publish(dead(7))
    await letters.discard(dead(4).letter_id)
    second = await letters.page(Wanted(), before=first.next, limit=2)
    assert [letter.sequence for letter in second.letters] == [3, 2]


async def test_every_filter_finds_what_it_says(bus: Bus, letters: Letters) -> None:
    await bus.publish(dead(1))
    await bus.publish(dead(2, code="busy"))
    await bus.publish(dead(3, consumer="image-deleted"))
    for wanted, expected in (
        (Wanted(consumer="metadata-facts"), [2, 1]),
        (Wanted(consumer="image-deleted"), [3]),
        (Wanted(consumer="metadata-*"), []),
        (Wanted(consumer="a.b"), []),
        (Wanted(code="busy"), [2]),
        (Wanted(image_id="image-1"), [1]),
        (Wanted(since=NOON + timedelta(minutes=2)), [3, 2]),
        (Wanted(until=NOON + timedelta(minutes=2)), [1]),
        (Wanted(since=NOON + timedelta(days=9999)), []),
        (Wanted(since=datetime.min.replace(tzinfo=UTC)), [3, 2, 1]),
        (Wanted(consumer="metadata-facts", code="bug", until=NOON + timedelta(days=1)), [1]),
    ):
        assert await numbers(letters, wanted) == [expected], wanted


async def test_a_letter_is_shown_whole(bus: Bus, letters: Letters) -> None:
    letter = dead(1, payload=b"\xff\x00", traceback="Traceback …")
    await bus.publish(letter)
    assert await letters.get(letter.letter_id) == letter
    (summary,) = (await letters.page(Wanted())).letters
    assert (summary.letter_id, summary.payload_bytes) == (letter.letter_id, 2)
    assert summary.subject == letter.message_subject


async def test_discarding_is_for_ever(bus: Bus, letters: Letters) -> None:
    await bus.publish(dead(1))
    await bus.publish(dead(2))
    assert await letters.discard(dead(1).letter_id)
    assert not await letters.discard(dead(1).letter_id)
    assert await letters.get(dead(1).letter_id) is None
    assert await numbers(letters, Wanted()) == [[2]]


async def test_a_replay_is_asked_for_once(bus: Bus, letters: Letters) -> None:
    letter = dead(1)
    await bus.publish(letter)
    assert await request_replay(bus, letter.consumer, letter.letter_id)
    assert not await request_replay(bus, letter.consumer, letter.letter_id)
    command = await bus.latest(f"commands.v1.replay.{letter.consumer}.{letter.letter_id}")
    assert command is not None
    assert isinstance(command.event, Replay)


async def test_nobody_would_hear_a_replay_for_a_consumer_that_is_no_more(bus: Bus) -> None:
    with pytest.raises(Rejected, match="metadata-facts"):
        await request_replay(bus, "metadata-gone", "0" * 24)


async def test_many_replays_are_asked_for_in_bounded_numbers(bus: Bus, letters: Letters) -> None:
    for number in range(1, 7):
        await bus.publish(dead(number))
    await bus.publish(dead(7, consumer="gone"))
    await bus.publish(dead(8, code="other"))
    asked = await request_replays(bus, letters, Wanted(code="bug"), most=4)
    assert (asked.requested, asked.waiting, asked.unknown) == (3, 0, 1)
    assert asked.next is not None
    rest = await request_replays(bus, letters, Wanted(code="bug"), before=asked.next)
    assert (rest.requested, rest.waiting, rest.unknown, rest.next) == (3, 0, 0, None)
    again = await request_replays(bus, letters, Wanted(code="bug"))
    assert (again.requested, again.waiting, again.unknown) == (0, 6, 1)


async def test_what_is_far_apart_is_found(
    bus: Bus, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gaps of what was discarded or replayed, windows that end between letters, small answers."""
    for name, value in (("WINDOW", 2), ("WIDEST", 4), ("BATCH", 1)):
        monkeypatch.setattr(letters_in_jetstream, name, value)
    for number in range(1, 41):
        await bus.publish(dead(number))
    left = {1, 2, 11, 12, 13, 39}
    for number in set(range(1, 41)) - left:
        assert await letters.discard(dead(number).letter_id)
    assert await numbers(letters, Wanted(), limit=4) == [[39, 13, 12, 11], [2, 1]]


async def test_so_much_is_looked_through_for_one_page(
    bus: Bus, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WINDOW", 2), ("MOST", 4)):
        monkeypatch.setattr(letters_in_jetstream, name, value)
    for number in range(1, 11):
        await bus.publish(dead(number))
    pages = await numbers(letters, Wanted(image_id="image-1"))
    assert [number for page in pages for number in page] == [1]
    assert len(pages) == 1 or isinstance(bus, JetStreamBus)


async def test_what_is_no_letter_is_shown_as_such(bus: Bus, letters: Letters) -> None:
    if not isinstance(bus, JetStreamBus):
        pytest.skip("the twin holds events only")
    await bus._client.request("dead.v1.metadata-facts.odd", b"{not a letter")
    (summary,) = (await letters.page(Wanted())).letters
    assert (summary.letter_id, summary.code) == ("odd", "unreadable_letter")
    letter = await letters.get("odd")
    assert letter is not None
    assert letter.payload == b"{not a letter"
    assert letter.first_at <= ids.now() + timedelta(minutes=1)
    assert await letters.discard("odd")
