"""The live feed without a socket: what a reader gets, from where, and what it may ask for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from imagesystem.bus.memory import MemoryBus
from imagesystem.bus.tailing import MemoryDoorbell
from imagesystem.errors import Rejected, Unavailable
from imagesystem.metrics import Metrics
from litestar import Request
from metadata_service import streams
from metadata_service.feeds import routes
from metadata_service.feeds.hub import Feed, Hub
from metadata_service.feeds.reading import Log
from metadata_service.feeds.selection import Selection, parse_types
from metadata_service.feeds.tail import Tail
from metadata_service.measures import Measures

from services.metadata.tests.conftest import Open, Stage
from services.metadata.tests.samples import (
    annotated,
    deleted,
    failed,
    image_id,
    inferred,
    planned,
    uploaded,
)


class Reader:
    """Reads a feed as a browser does: comments are skipped, the last id is remembered."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.frames: AsyncGenerator[bytes, None] = feed.frames()
        self.last_id: int | None = None
        self.comments: list[str] = []
        self._events: list[dict[str, Any]] = []

    async def take(self, count: int) -> list[dict[str, Any]]:
        """Return the next `count` events."""
        async with asyncio.timeout(20):
            while len(self._events) < count:
                self._parse(await anext(self.frames))
        taken, self._events = self._events[:count], self._events[count:]
        return taken

    async def step(self) -> None:
        """Read whatever comes next."""
        async with asyncio.timeout(20):
            self._parse(await anext(self.frames))

    def _parse(self, chunk: bytes) -> None:
        for block in chunk.decode().split("\n\n")[:-1]:
            for line in block.split("\n"):
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last_id = int(value)
                elif name == "data":
                    event = json.loads(value)
                    assert event["sequence"] == str(self.last_id)
                    self._events.append(event)
                elif line.startswith(":"):
                    self.comments.append(line)

    async def close(self) -> None:
        self.feed.close()
        await self.frames.aclose()


class Desk:
    """A bus with a hub on it."""

    def __init__(self, bus: MemoryBus, hub: Hub, tail: Tail) -> None:
        self.bus, self.hub, self.tail = bus, hub, tail

    async def reader(self, after: int | None = None, **wanted: Any) -> Reader:
        said = self.bus.sequence
        while self.tail.position is None or self.tail.position < said:
            await asyncio.sleep(0.001)  # "now" is as far as the tail has come
        reader = Reader(self.hub.open(Selection(**wanted), after))
        await reader.step()
        return reader


@asynccontextmanager
async def opened(
    *, most: int = 100, keep_bytes: int = 100_000, keep_alive_s: float = 60
) -> AsyncIterator[Desk]:
    bus = MemoryBus()
    async with Tail(bus, MemoryDoorbell(bus), keep_bytes=keep_bytes).running() as tail:
        gauge = Measures(Metrics()).open_feeds
        hub = Hub(Log(bus, tail), most=most, keep_alive_s=keep_alive_s, open_feeds=gauge)
        yield Desk(bus, hub, tail)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with opened() as desk:
        yield desk


async def test_a_fact_comes_as_a_cloudevent_with_its_sequence(desk: Desk):
    reader = await desk.reader()
    said = await desk.bus.publish(uploaded())
    (event,) = await reader.take(1)
    assert event["type"] == "images.v1.uploaded"
    assert event["specversion"] == "1.0"
    assert event["subject"] == event["data"]["image_id"] == uploaded().image_id
    assert event["data"]["filename"] == "cat.jpg"
    assert reader.last_id == said.sequence
    assert event["id"] == said.event_id


async def test_without_a_last_id_it_begins_now(desk: Desk):
    await desk.bus.publish(uploaded(image_id(1)))
    reader = await desk.reader(after=None)
    await desk.bus.publish(uploaded(image_id(2)))
    assert [event["subject"] for event in await reader.take(1)] == [image_id(2)]


async def test_it_says_where_to_resume_before_anything_happened(desk: Desk):
    await desk.bus.publish(uploaded(image_id(1)))
    reader = await desk.reader(after=0)
    await reader.take(1)
    again = await desk.reader()
    assert again.last_id == 1
    await again.close()
    await desk.bus.publish(uploaded(image_id(2)))
    resumed = await desk.reader(after=again.last_id)
    assert [event["subject"] for event in await resumed.take(1)] == [image_id(2)]


async def test_resuming_gives_the_latest_states_only(desk: Desk):
    for version in ("1", "2", "3"):
        await desk.bus.publish(inferred(version=version))
    await desk.bus.publish(planned())
    async with opened() as other:  # a process that was started later, with the same log
        other.bus.log, other.bus.sequence = desk.bus.log, desk.bus.sequence
        reader = await other.reader(after=1)
        events = await reader.take(2)
    assert [event["type"] for event in events] == [
        "images.v1.inferred.analysis",
        "images.v1.planned",
    ]
    assert events[0]["data"]["model_version"] == "3"


@pytest.mark.parametrize("keep_bytes", [500, 3_000, 1_000_000])
async def test_nothing_is_missed_and_nothing_comes_twice_while_it_is_resumed(keep_bytes: int):
    """Readers join at any place, while facts are said, with little or much in memory."""
    async with opened(keep_bytes=keep_bytes) as desk:
        for number in range(100):
            await desk.bus.publish(uploaded(image_id(number)))

        async def say() -> None:
            for number in range(100, 400):
                await desk.bus.publish(uploaded(image_id(number)))
                if number % 7 == 0:
                    await asyncio.sleep(0.001)

        async def follow(after: int) -> list[int]:
            reader = await desk.reader(after=after)
            return [int(event["sequence"]) for event in await reader.take(400 - after)]

        saying = asyncio.create_task(say())
        places = [0, 1, 50, 99, 3]
        heard = await asyncio.gather(*(follow(after) for after in places))
        await saying
    for after, sequences in zip(places, heard, strict=True):
        assert sequences == list(range(after + 1, 401))


async def test_who_is_slow_catches_up_from_the_log():
    async with opened(keep_bytes=2_000) as desk:
        slow = await desk.reader()
        for number in range(200):  # far more than is kept in memory
            await desk.bus.publish(uploaded(image_id(number)))
        while desk.tail.position != 200:
            await asyncio.sleep(0.001)
        assert desk.tail.floor > 100
        events = await slow.take(200)
    assert [int(event["sequence"]) for event in events] == list(range(1, 201))


async def test_types_images_and_owners_are_selected(desk: Desk):
    types = await desk.reader(types=parse_types("uploaded,inferred.analysis"))
    image = await desk.reader(image_id=image_id(2))
    owner = await desk.reader(owner="ann")
    for number, name in ((1, "ann"), (2, "bob")):
        await desk.bus.publish(uploaded(image_id(number), owner=name))
        await desk.bus.publish(planned(image_id(number)))
        await desk.bus.publish(inferred(image_id(number)))
    await desk.bus.publish(failed(image_id(1), stage="text"))
    kinds = [event["type"].removeprefix("images.v1.") for event in await types.take(4)]
    assert kinds == ["uploaded", "inferred.analysis"] * 2
    assert {event["subject"] for event in await image.take(3)} == {image_id(2)}
    events = await owner.take(4)
    assert {event["subject"] for event in events} == {image_id(1)}
    assert events[-1]["type"] == "images.v1.failed"


async def test_the_owner_is_known_of_images_uploaded_before_and_of_those_just_deleted(desk: Desk):
    await desk.bus.publish(uploaded(image_id(1), owner="ann"))
    reader = await desk.reader(owner="ann")
    await desk.bus.publish(annotated(image_id(1)))
    assert (await reader.take(1))[0]["type"] == "images.v1.annotated"
    await desk.bus.forget(f"images.v1.{image_id(1)}.>")
    await desk.bus.publish(deleted(image_id(1)))
    assert (await reader.take(1))[0]["type"] == "images.v1.deleted"


async def test_a_quiet_feed_shows_that_it_lives_and_moves_its_place_on():
    async with opened(keep_alive_s=0.05) as desk:
        reader = await desk.reader(types=frozenset({"deleted"}))
        await desk.bus.publish(uploaded())
        while reader.last_id != 1:
            await reader.step()
    assert ": keep-alive" in reader.comments


async def test_there_are_only_so_many():
    async with opened(most=1) as desk:
        first = await desk.reader()
        with pytest.raises(Rejected) as refused:
            desk.hub.open(Selection(), None)
        assert (refused.value.status, refused.value.limit) == (503, "FEEDS_MAX")
        assert refused.value.headers["retry-after"]
        await first.close()
        await desk.reader()


async def test_a_reader_that_takes_nothing_is_dropped(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streams, "STALLED_S", 0.05)
    await desk.reader()  # until the tail has begun
    feed = desk.hub.open(Selection(), None)
    answer = routes.event_stream(feed).to_asgi_response(None, Request({"type": "http"}))
    forever = asyncio.Event()

    async def receive() -> Any:
        await forever.wait()  # it does not go away either

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await forever.wait()

    async with asyncio.timeout(20):
        await answer({"type": "http"}, receive, send)
    assert feed not in desk.hub._feeds


async def test_all_end_when_the_service_stops(desk: Desk):
    readers = [await desk.reader() for _ in range(3)]
    waiting = [asyncio.create_task(reader.take(1)) for reader in readers]
    await asyncio.sleep(0)
    desk.hub.close()
    for task, reader in zip(waiting, readers, strict=True):
        with pytest.raises(StopAsyncIteration):
            await task
        assert "stopping" in reader.comments[-1]
    with pytest.raises(Rejected):
        desk.hub.open(Selection(), None)


async def test_while_nats_is_away_nothing_opens_and_open_feeds_wait():
    bus = MemoryBus()
    bus.down = True
    async with Tail(bus, MemoryDoorbell(bus)).running() as tail:
        gauge = Measures(Metrics()).open_feeds
        hub = Hub(Log(bus, tail), most=1, keep_alive_s=1, open_feeds=gauge)
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            hub.open(Selection(), None)
        assert tail.broken is not None


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("uploaded", {"uploaded"}),
        ("uploaded, inferred.text", {"uploaded", "inferred.text"}),
        ("images.v1.uploaded", {"uploaded"}),
        ("images.v1.*.inferred.>", {"inferred"}),
        ("images.v1.inferred.analysis", {"inferred.analysis"}),
        ("failed.text", {"failed.text"}),
        ("failed.*", {"failed"}),
        ("images.v1.>", set()),
    ],
)
def test_types_are_understood(text: str, types: set[str]):
    assert parse_types(text) == types


@pytest.mark.parametrize(
    "text",
    ["", "upload", "uploaded.x", "inferred.mood", "uploaded,,failed", ">", "*", "images.v2.>"],
)
def test_unknown_types_are_refused_with_what_there_is(text: str):
    with pytest.raises(Rejected, match=r"inferred\.text") as refused:
        parse_types(text)
    assert (refused.value.status, refused.value.code) == (400, "unknown_type")


@pytest.mark.parametrize(
    ("query", "headers", "code"),
    [
        ("types=nonsense", {}, "unknown_type"),
        ("kinds=uploaded", {}, "unknown_parameter"),
        ("image=7", {}, "malformed_image_id"),
        ("types=uploaded&types=failed", {}, "repeated_parameter"),
        ("after=-1", {}, "invalid_parameter"),
        ("owner=", {}, "invalid_parameter"),
        ("", {"last-event-id": "yesterday"}, "malformed_last_event_id"),
        ("", {"last-event-id": "99999999999999999999"}, "malformed_last_event_id"),
    ],
)
async def test_bad_questions_are_answered(
    stage: Stage, query: str, headers: dict[str, str], code: str
):
    answer = await stage.http.get(f"/metadata/events?{query}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_too_many_feeds_are_told_when_to_come_back(open_stage: Open):
    async with open_stage(feeds_max=0) as stage:
        answer = await stage.http.get("/metadata/events")
    assert answer.status_code == 503
    assert answer.json()["limit"] == "FEEDS_MAX"
    assert int(answer.headers["retry-after"]) > 0
