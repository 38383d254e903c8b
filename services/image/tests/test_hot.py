from __future__ import annotations

import asyncio

import pytest
from image_service.known import Known
from image_service.measures import Measures
from image_service.revisits import Revisits
from image_service.shelf import Shelf
from imagesystem.bus.memory import MemoryBus
from imagesystem.bus.tailing import MemoryDoorbell
from imagesystem.errors import Unavailable
from imagesystem.metrics import Metrics
from prometheus_client import Gauge

from .samples import gradient, saved


@pytest.fixture
async def url(upload) -> str:
    said = await upload(saved(gradient(90, 60), "JPEG", comment=b"hot"), width=90, height=60)
    return f"/image/images/{said.image_id}?w=30"


async def counted(http, outcome: str) -> float:
    text = (await http.get("/image/metrics")).text
    lines = [line for line in text.splitlines() if f'outcome="{outcome}"' in line]
    return float(lines[0].split()[-1]) if lines else 0.0


async def test_a_hot_url_is_answered_alike_every_time(http, url):
    before = await counted(http, "hit")
    first, second, third, fourth = [await http.get(url) for _ in range(4)]
    assert first.headers["cache-status"] == "renditions; fwd=miss"
    assert second.headers["cache-status"] == "renditions; hit; detail=memory"
    assert first.content == second.content == third.content == fourth.content
    ids = {answer.headers.pop("x-request-id") for answer in (second, third, fourth)}
    assert len(ids) == 3
    assert second.headers == third.headers == fourth.headers
    assert await counted(http, "hit") == before + 3
    metrics = (await http.get("/image/metrics")).text
    assert 'route="/image/images/{image_id}",status="200"' in metrics


async def test_who_wants_something_particular_gets_it_of_a_hot_url_too(http, url):
    for _ in range(3):
        whole = await http.get(url)
    etag = whole.headers["etag"]
    assert (await http.get(url, headers={"if-none-match": etag})).status_code == 304
    part = await http.get(url, headers={"range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, whole.content[:10])
    head = await http.head(url)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(whole.content)))
    assert (await http.get(f"{url}&w=40")).status_code == 400


@pytest.fixture
def short_cuts(monkeypatch) -> list[int]:
    """The statuses of what was answered before the routes; what was just said is known at once."""
    statuses: list[int] = []
    shortcut = Revisits.__call__

    def counted(self, scope):
        ready = shortcut(self, scope)
        if ready is not None:
            statuses.append(ready.status)
        return ready

    monkeypatch.setattr(Revisits, "__call__", counted)
    monkeypatch.setattr(Known, "UNSETTLED_S", 0.0)
    return statuses


@pytest.mark.parametrize("query", ["?w=30", ""])
@pytest.mark.parametrize(
    "headers",
    [
        [("if-none-match", "{etag}")],
        [("if-none-match", '"other", W/{etag}')],
        [("if-none-match", '"other"')],
        [("if-match", '"other"')],
        [("if-modified-since", "Fri, 02 Jan 2026 03:04:05 GMT")],
        [("if-modified-since", "Thu, 01 Jan 2026 03:04:05 GMT")],
        [("range", "bytes=10-19")],
        [("range", "bytes=-5"), ("if-range", "{etag}")],
        [("range", "bytes=-5"), ("if-range", '"other"')],
        [("range", "bytes=0-1"), ("range", "bytes=3-4")],
        [("range", "bytes=9999999-")],
        [("range", "pages=1")],
        [("range", "bytes=0-0"), ("if-none-match", "{etag}")],
        [],
    ],
)
async def test_what_follows_from_a_hot_url_is_what_the_routes_answer(
    http, upload, platform, short_cuts, query, headers
):
    said = await upload(saved(gradient(90, 60), "JPEG", comment=b"hot"), width=90, height=60)
    await platform.bus.settle()
    url = f"/image/images/{said.image_id}{query}"
    while not short_cuts:
        whole = await http.get(url)
    short_cuts.clear()
    asked = [(name, text.format(etag=whole.headers["etag"])) for name, text in headers]
    for method in ("GET", "HEAD"):
        hot = await http.request(method, url, headers=asked)
        # (Where an origin may matter, the routes are asked.)
        routed = await http.request(method, url, headers=[*asked, ("origin", "http://a.example")])
        for answer in (hot, routed):
            answer.headers.pop("x-request-id")
        assert (hot.status_code, hot.headers) == (routed.status_code, routed.headers)
        if hot.status_code < 400:
            assert hot.content == routed.content
            assert hot.status_code in short_cuts
        elif method == "GET":
            assert hot.json()["code"] == routed.json()["code"]


async def test_what_is_in_memory_needs_no_bucket_for_its_parts(http, upload, platform):
    data = saved(gradient(90, 60), "JPEG", comment=b"parts")
    said = await upload(data, width=90, height=60)
    url = f"/image/images/{said.image_id}"
    part = {"range": "bytes=5-8"}
    assert (await http.get(url, headers=part)).content == data[5:9]
    bucket = platform.bucket("originals")
    await bucket.delete(await bucket.info(said.image_id))
    assert (await http.get(url, headers=part)).content == data[5:9]
    assert (await http.get(url)).content == data


async def test_a_hot_url_that_is_negotiated_is_hot_for_each_kind_of_client(http, upload):
    said = await upload(saved(gradient(90, 60), "JPEG", comment=b"auto"), width=90, height=60)
    url = f"/image/images/{said.image_id}?w=30&format=auto"
    for _ in range(3):
        modern = await http.get(url, headers={"accept": "image/avif,*/*"})
        plain = await http.get(url, headers={"accept": "*/*"})
        assert modern.headers["content-type"] == "image/avif"
        assert plain.headers["content-type"] == "image/jpeg"
        assert modern.headers["vary"] == plain.headers["vary"] == "accept"


async def test_a_hot_url_ends_with_its_image(http, url, delete, upload):
    for _ in range(3):
        assert (await http.get(url)).status_code == 200
    await delete(url.split("/")[-1].partition("?")[0])
    assert (await http.get(url)).status_code in (404, 410)


async def test_a_hot_url_ends_with_its_watermark(http, url, delete, upload):
    mark = await upload(saved(gradient(20, 20), "PNG"), media_type="image/png", width=20, height=20)
    marked = f"{url}&watermark={mark.image_id}"
    for _ in range(3):
        assert (await http.get(marked)).status_code == 200
    await delete(mark.image_id)
    assert (await http.get(marked)).status_code == 422
    assert (await http.get(url)).status_code == 200


async def test_a_small_original_is_read_once_and_ends_with_its_image(
    http, upload, delete, platform
):
    data = saved(gradient(90, 60), "JPEG", comment=b"original")
    said = await upload(data, width=90, height=60)
    url = f"/image/images/{said.image_id}"
    hits = await counted(http, "hit")
    first = await http.get(url)
    bucket = platform.bucket("originals")
    await bucket.delete(await bucket.info(said.image_id))  # what is in memory needs no bucket
    second, third = [await http.get(url) for _ in range(2)]
    for answer in (first, second, third):
        assert (answer.status_code, answer.content) == (200, data)
        answer.headers.pop("x-request-id")
    assert first.headers == second.headers == third.headers
    assert "cache-status" not in first.headers
    assert await counted(http, "hit") == hits  # renditions alone are counted
    etag = first.headers["etag"]
    assert (await http.get(url, headers={"if-none-match": etag})).status_code == 304
    await delete(said.image_id)
    assert (await http.get(url)).status_code in (404, 410)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Flaky(MemoryDoorbell):
    """A doorbell whose connection can be lost."""

    missed = 0

    @property
    def interruptions(self) -> int:
        return self.missed


class World:
    def __init__(self) -> None:
        self.bus, self.clock = MemoryBus(), Clock()
        self.doorbell = Flaky(self.bus)
        self.known = Known(self.clock)
        self.changed: list[str] = []


@pytest.fixture
def world() -> World:
    return World()


async def test_what_was_looked_up_is_known_until_something_is_said(world, fact):
    said = fact(b"pixels")
    async with world.known.listening(world.doorbell, world.changed.append):
        world.known.put(said, world.known.moment)
        assert world.known.get(said.image_id) is said
        await world.bus.publish(said)
        while not world.changed:
            await asyncio.sleep(0)
        assert world.known.get(said.image_id) is None
        # what is read in the same moment may be older than what was said
        world.known.put(said, world.known.moment)
        assert world.known.get(said.image_id) is None
        world.clock.now += Known.UNSETTLED_S
        world.known.put(said, world.known.moment)
        assert world.known.get(said.image_id) is said
        world.clock.now += Known.LIFETIME_S + 1
        assert world.known.get(said.image_id) is None


async def test_what_may_have_been_missed_is_looked_up_again(world, fact):
    said = fact(b"pixels")
    async with world.known.listening(world.doorbell, world.changed.append):
        before = world.known.moment
        world.known.put(said, before)
        world.doorbell.missed += 1
        assert world.known.get(said.image_id) is None
        world.known.put(said, before)
        assert world.known.get(said.image_id) is None


async def test_nothing_is_remembered_where_nothing_is_heard(world, fact, monkeypatch):
    said = fact(b"pixels")
    world.known.put(said, world.known.moment)
    assert world.known.get(said.image_id) is None

    def refuse(*_):
        raise Unavailable("nats", "permissions violation")

    monkeypatch.setattr(world.doorbell, "hearing", refuse)
    async with world.known.listening(world.doorbell, world.changed.append):
        world.known.put(said, world.known.moment)
        assert world.known.get(said.image_id) is None


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(100_000, Measures(Metrics()).shelved)


def test_the_shelf_keeps_what_was_asked_for_last(shelf):
    for number in range(20):
        shelf.put(f"a/{number}", bytes(9_500), ["a"])
        shelf.get("a/0")
    held = [number for number in range(20) if shelf.get(f"a/{number}") is not None]
    assert held == [0, *range(12, 20)]
    shelf.put("b/large", bytes(60_000), ["b"])
    assert shelf.get("b/large") is None


def test_the_shelf_drops_whatever_shows_an_image(shelf):
    shelf.put("a/1", b"1", ["a"])
    shelf.put("b/1", b"2", ["b", "a"])
    shelf.put("b/2", b"3", ["b"])
    shelf.drop("a")
    assert [shelf.get(name) for name in ("a/1", "b/1", "b/2")] == [None, None, b"3"]
    shelf.drop("b")
    gauge: Gauge = shelf._held
    assert gauge._value.get() == 0
