from __future__ import annotations

import asyncio

import pytest
from image_service import refusals as refusals_module
from image_service.cache import RenditionCache
from image_service.darkroom import Darkroom
from image_service.limits import Limits
from image_service.measures import Measures
from image_service.originals import Originals
from image_service.parameters import Recipe
from image_service.places import Places
from image_service.refusals import Refusals
from image_service.renditions import Rendition
from image_service.shelf import Shelf
from imagesystem.bus.memory import MemoryBus
from imagesystem.errors import ObjectMissing, Rejected, Transient
from imagesystem.metrics import Metrics
from imagesystem.objects.memory import MemoryBucket
from imagesystem.workers import WorkerDied


class Pool:
    """Stands in for the worker processes: answers when told to, fails as told to."""

    def __init__(self, size: int = 1) -> None:
        self.size = size
        self.calls = 0
        self.failures: list[Exception] = []
        self.open = asyncio.Event()
        self.open.set()

    async def run(self, _function, _source, recipe, _limits, _others, *, deadline_s):
        self.calls += 1
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        return Rendition(data=f"{recipe.width}".encode(), width=1, height=1)


class World:
    def __init__(self, max_waiting: int = 2, shelf_bytes: int = 1 << 20) -> None:
        self.bus, self.pool = MemoryBus(), Pool()
        self.stored, self.cached = MemoryBucket("originals"), MemoryBucket("renditions")
        self.metrics = Metrics()
        measures = Measures(self.metrics)
        originals = Originals(self.bus, self.stored)
        self.cache = RenditionCache(self.cached, originals.exists, measures, -1)
        self.darkroom = Darkroom(
            originals,
            self.cache,
            self.pool,
            measures,
            Limits(max_pixels=1, max_output_pixels=1),
            shelf=Shelf(shelf_bytes, measures.shelved),
            places=Places(1, max_waiting, 1 << 20, measures.renditions.labels("busy").inc),
            deadline_s=1,
        )

    def counted(self, outcome: str) -> float | None:
        return self.metrics.registry.get_sample_value("renditions_total", {"outcome": outcome})


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def original(world, fact):
    fact = fact(b"pixels")
    await world.stored.put(fact.image_id, b"pixels")
    await world.bus.publish(fact)
    return fact


@pytest.fixture
async def original_world(fact):
    """Without memory for renditions."""
    world, said = World(shelf_bytes=0), fact(b"pixels")
    await world.stored.put(said.image_id, b"pixels")
    await world.bus.publish(said)
    return world, said


def recipe(width: int = 10) -> Recipe:
    return Recipe(width=width, height=None, fit="inside", format="jpeg", quality=80)


async def test_made_once_then_from_the_cache(world, original):
    first = await world.darkroom.develop(original, recipe())
    await world.cache.settle()
    second = await world.darkroom.develop(original, recipe())
    assert (first.data, first.hit) == (b"10", False)
    assert (second.data, second.hit) == (b"10", True)
    assert world.pool.calls == 1


async def test_what_is_asked_for_again_is_shared_with_other_replicas(world, original):
    await world.darkroom.develop(original, recipe())
    await world.cache.settle()
    assert [info async for info in world.cached.watch(follow=False)] == []
    await world.darkroom.develop(original, recipe())
    await world.cache.settle()
    (info,) = [info async for info in world.cached.watch(follow=False)]
    assert info.name.startswith(original.image_id)


async def test_what_has_no_place_in_memory_is_shared_when_it_is_made_again(original_world):
    world, original = original_world
    for where in ("", "", "bucket"):
        assert (await world.darkroom.develop(original, recipe())).where == where
        await world.cache.settle()
    assert world.pool.calls == 2


async def test_a_thousand_requests_for_one_rendition_are_one_rendition(world, original):
    answers = await asyncio.gather(
        *(world.darkroom.develop(original, recipe()) for _ in range(1000))
    )
    assert {answer.data for answer in answers} == {b"10"}
    assert world.pool.calls == 1
    assert world.counted("joined") == 999


async def test_a_client_that_leaves_takes_nothing_from_the_others(world, original):
    world.pool.open.clear()
    leaving = asyncio.create_task(world.darkroom.develop(original, recipe()))
    staying = asyncio.create_task(world.darkroom.develop(original, recipe()))
    while not world.pool.calls:
        await asyncio.sleep(0)
    leaving.cancel()
    world.pool.open.set()
    assert (await staying).data == b"10"
    assert world.pool.calls == 1


async def test_more_than_may_wait_are_turned_away(world, original):
    world.pool.open.clear()
    # four have a place (one works, three fetch their originals), two wait
    tasks = [
        asyncio.create_task(world.darkroom.develop(original, recipe(width)))
        for width in range(1, 10)
    ]
    done, running = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 3:
        more, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    assert {(task.exception().status, task.exception().code) for task in done} == {
        (429, "too_busy")
    }
    assert {task.exception().headers["retry-after"] for task in done} == {"2"}
    world.pool.open.set()
    assert len(await asyncio.gather(*running)) == 6


async def test_what_is_cached_is_served_however_long_the_queue(world, original):
    await world.darkroom.develop(original, recipe(99))
    await world.cache.settle()
    world.pool.open.clear()
    tasks = [
        asyncio.create_task(world.darkroom.develop(original, recipe(width)))
        for width in range(1, 5)
    ]
    assert (await world.darkroom.develop(original, recipe(99))).hit
    world.pool.open.set()
    await asyncio.gather(*tasks)


async def test_a_worker_that_dies_once_is_forgiven(world, original):
    world.pool.failures = [WorkerDied("out of memory")]
    assert (await world.darkroom.develop(original, recipe())).data == b"10"
    assert world.pool.calls == 2


async def test_a_picture_that_kills_its_workers_is_refused_and_not_tried_again(world, original):
    world.pool.failures = [WorkerDied("crash"), WorkerDied("crash")]
    for width in (10, 10, 20):
        with pytest.raises(Rejected) as caught:
            await world.darkroom.develop(original, recipe(width))
        assert (caught.value.status, caught.value.code) == (422, "unprocessable_picture")
    assert world.pool.calls == 2


async def test_corrupt_pixels_are_decoded_once(world, original):
    world.pool.failures = [Rejected(422, "corrupt_pixels", "broken")]
    for _ in range(2):
        with pytest.raises(Rejected) as caught:
            await world.darkroom.develop(original, recipe())
        assert caught.value.code == "corrupt_pixels"
    assert world.pool.calls == 1
    assert world.counted("refused") == 2


async def test_too_slow_may_be_tried_again(world, original):
    world.pool.failures = [Transient("slow", code="deadline_exceeded")]
    with pytest.raises(Transient):
        await world.darkroom.develop(original, recipe())
    assert (await world.darkroom.develop(original, recipe())).data == b"10"


async def test_an_image_deleted_while_it_is_fetched(world, original):
    await world.stored.delete(await world.stored.info(original.image_id))
    with pytest.raises(ObjectMissing):
        await world.darkroom.develop(original, recipe())
    await world.bus.forget(f"images.v1.{original.image_id}.>")
    with pytest.raises(Rejected) as caught:
        await world.darkroom.develop(original, recipe())
    assert caught.value.status == 404


async def test_an_image_deleted_while_it_is_rendered_leaves_nothing_in_the_cache(world, original):
    world.pool.open.clear()
    task = asyncio.create_task(world.darkroom.develop(original, recipe()))
    while not world.pool.calls:
        await asyncio.sleep(0)
    world.pool.open.set()
    await task
    await world.bus.forget(f"images.v1.{original.image_id}.>")
    await world.darkroom.develop(original, recipe())
    await world.cache.settle()
    assert [info async for info in world.cached.watch(follow=False)] == []


async def test_closing_gives_up_what_is_being_made(world, original):
    world.pool.open.clear()
    task = asyncio.create_task(world.darkroom.develop(original, recipe()))
    while not world.pool.calls:
        await asyncio.sleep(0)
    await world.darkroom.close()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_refusals_end_and_do_not_pile_up(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(refusals_module.time, "monotonic", lambda: now)
    refusals = Refusals()
    for number in range(Refusals.MOST + 1):
        refusals.add(str(number), Rejected(422, "corrupt_pixels", str(number)))
    refusals.check("0")
    with pytest.raises(Rejected):
        refusals.check("1")
    now += Refusals.LIFETIME_S + 1
    refusals.check("1")
