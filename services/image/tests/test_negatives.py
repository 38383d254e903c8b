from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from image_service.negatives import Negatives, arena_of
from image_service.originals import Originals
from imagesystem.arena import Arena, Piece
from imagesystem.bus.memory import MemoryBus
from imagesystem.errors import ObjectMissing
from imagesystem.objects.memory import MemoryBucket

linux = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="Linux alone has it")


class World:
    def __init__(self, arena: Arena | None) -> None:
        self.bus, self.stored, self.arena = MemoryBus(), MemoryBucket("originals"), arena
        self.negatives = Negatives(Originals(self.bus, self.stored), arena)

    async def lost(self, image_id):
        info = await self.stored.info(image_id)
        assert info is not None
        await self.stored.delete(info)

    async def bytes_of(self, original) -> bytes:
        async with self.negatives.of(original) as negative:
            if isinstance(negative, Piece):
                assert self.arena is not None
                return self.arena.window().read(negative)
            return negative


@pytest.fixture
def arena() -> Iterator[Arena | None]:
    with arena_of(4096) as arena:
        yield arena


@pytest.fixture
def keep(fact):
    async def keep(world: World, data: bytes):
        original = fact(data)
        await world.stored.put(original.image_id, data)
        await world.bus.publish(original)
        return original

    return keep


@linux
async def test_an_original_is_read_once(arena, keep):
    world = World(arena)
    original = await keep(world, b"pixels")
    assert await world.bytes_of(original) == b"pixels"
    await world.lost(original.image_id)
    assert await world.bytes_of(original) == b"pixels"
    world.negatives.drop(original.image_id)
    with pytest.raises(ObjectMissing):
        await world.bytes_of(original)


async def test_one_that_is_too_large_is_read_each_time(arena, keep):
    world = World(arena)
    original = await keep(world, bytes(2000))
    assert await world.bytes_of(original) == bytes(2000)
    await world.lost(original.image_id)
    with pytest.raises(ObjectMissing):
        await world.bytes_of(original)


@linux
async def test_a_negative_in_use_is_not_written_over(arena, keep):
    world = World(arena)
    originals = [await keep(world, bytes([number]) * 1000) for number in range(6)]
    async with world.negatives.of(originals[0]) as negative:
        for number, original in enumerate(originals):
            assert await world.bytes_of(original) == bytes([number]) * 1000
        assert arena.window().read(negative) == bytes(1000)


async def test_no_memory_is_no_hindrance(keep):
    with arena_of(0) as arena:
        world = World(arena)
        assert arena is None
        assert await world.bytes_of(await keep(world, b"pixels")) == b"pixels"
        world.negatives.drop("any")
