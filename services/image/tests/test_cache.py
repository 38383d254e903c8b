from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from image_service.cache import MAX_WRITES, CacheIndex, RenditionCache
from image_service.measures import Measures
from imagesystem import ids
from imagesystem.errors import Unavailable
from imagesystem.metrics import Metrics
from imagesystem.objects import ObjectInfo
from imagesystem.objects.memory import MemoryBucket


def info(name: str, size: int = 100, *, deleted: bool = False) -> ObjectInfo:
    return ObjectInfo(
        bucket="renditions",
        name=name,
        nuid=name,
        size=size,
        chunks=1,
        digest="",
        modified_at=ids.now(),
        sequence=1,
        deleted=deleted,
    )


def names(index: CacheIndex, image_id: str) -> set[str]:
    return {held.name for held in index.of(image_id)}


def test_the_index_knows_what_is_there_of_an_image():
    index = CacheIndex(-1)
    for name in ("a/1", "a/2", "b/1", "a/1"):
        index.learn(info(name))
    assert names(index, "a") == {"a/1", "a/2"}
    index.learn(info("a/1", deleted=True))
    index.learn(info("b/1", deleted=True))
    index.learn(info("c/1", deleted=True))
    assert names(index, "a") == {"a/2"}
    assert names(index, "b") == set()
    assert len(index) == 1


def test_the_index_forgets_what_a_full_bucket_has_dropped():
    index = CacheIndex(1000)
    for number in range(50):
        index.learn(info(f"{number % 5}/{number}"))
    assert len(index) == 10
    assert names(index, "4") == {"4/44", "4/49"}


def test_one_object_larger_than_the_bucket_is_no_endless_loop():
    index = CacheIndex(10)
    index.learn(info("a/1", 100))
    assert len(index) == 1


class World:
    """A cache on a bucket in memory, and which images there are."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.bucket = MemoryBucket("renditions", cache=True)
        self.deleted: set[str] = set()
        self.cache = RenditionCache(self.bucket, self.exists, Measures(self.metrics), -1)

    async def exists(self, image_id: str) -> bool:
        return image_id not in self.deleted

    def counted(self, outcome: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            "rendition_cache_writes_total", {"outcome": outcome}
        )

    @asynccontextmanager
    async def following(self):
        task = asyncio.create_task(self.cache.follow())
        try:
            while self.cache.unhealthy:
                await asyncio.sleep(0)
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def world() -> World:
    return World()


async def test_what_was_kept_is_there(world):
    assert await world.cache.get("a", "1") is None
    world.cache.keep("a", "1", b"rendition")
    await world.cache.settle()
    assert await world.cache.get("a", "1") == b"rendition"
    assert world.counted("kept") == 1


async def test_an_outage_is_a_miss(world):
    world.cache.keep("a", "1", b"rendition")
    await world.cache.settle()
    world.bucket.down = True
    assert await world.cache.get("a", "1") is None
    world.cache.keep("a", "2", b"rendition")
    await world.cache.settle()
    assert world.counted("failed") == 1


async def test_what_is_incomplete_is_a_miss(world):
    world.cache.keep("a", "1", b"rendition")
    await world.cache.settle()
    world.bucket._chunks.clear()
    assert await world.cache.get("a", "1") is None


async def test_a_full_bucket_refuses_without_harm(world):
    world.bucket.max_bytes, world.bucket.cache = 4, False
    world.cache.keep("a", "1", b"rendition")
    await world.cache.settle()
    assert world.counted("failed") == 1


async def test_too_many_writes_are_skipped(world):
    for number in range(MAX_WRITES + 5):
        world.cache.keep("a", str(number), b"rendition")
    await world.cache.settle()
    assert world.counted("kept") == MAX_WRITES
    assert world.counted("skipped") == 5


async def test_dropping_takes_all_of_one_image_and_nothing_else(world):
    for name in ("a/1", "a/2", "b/1"):
        world.cache.keep(*name.split("/"), b"rendition")
    await world.cache.settle()
    async with world.following():
        assert await world.cache.drop("a") == 2
        assert await world.cache.drop("a") == 0
        assert await world.cache.get("a", "1") is None
        assert await world.cache.get("b", "1") == b"rendition"
        # what is written later is known as well
        world.cache.keep("a", "3", b"rendition")
        await world.cache.settle()
        while not await world.cache.drop("a"):
            await asyncio.sleep(0)


async def test_nothing_is_dropped_before_it_is_known_what_there_is(world):
    with pytest.raises(Unavailable):
        await world.cache.drop("a")
    async with world.following():
        assert world.cache.unhealthy is None
        assert await world.cache.drop("a") == 0
    assert world.cache.unhealthy is not None


async def test_a_rendition_of_an_image_deleted_meanwhile_does_not_stay(world):
    world.cache.keep("a", "1", b"rendition")
    world.deleted.add("a")
    await world.cache.settle()
    assert await world.cache.get("a", "1") is None
    assert world.counted("late") == 1


async def test_after_an_outage_the_index_is_built_anew(world, monkeypatch):
    monkeypatch.setattr("image_service.cache.RETRY_S", 0)
    world.cache.keep("a", "1", b"rendition")
    await world.cache.settle()
    world.bucket.down = True
    task = asyncio.create_task(world.cache.follow())
    for _ in range(3):
        await asyncio.sleep(0)
    assert world.cache.unhealthy is not None
    world.bucket.down = False
    while world.cache.unhealthy:
        await asyncio.sleep(0)
    assert await world.cache.drop("a") == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
