from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from image_service.places import LARGE_FILE_BYTES, Places


@pytest.mark.parametrize(
    ("size", "inside"),
    [(400_000, 6), (LARGE_FILE_BYTES // 2, 6), (LARGE_FILE_BYTES, 3), (50 * LARGE_FILE_BYTES, 3)],
)
async def test_twice_as_many_small_files_are_fetched_ahead_as_large_ones(size, inside):
    places, came = Places(2, 64, 1 << 30, lambda: None), []
    leave = asyncio.Event()

    async def come(number: int) -> None:
        async with places.taken(size):
            came.append(number)
            await leave.wait()

    coming = [asyncio.create_task(come(number)) for number in range(10)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert came == list(range(inside))
    leave.set()
    await asyncio.gather(*coming)
    assert sorted(came) == list(range(10))


async def test_files_that_left_make_room():
    places = Places(1, 64, 1 << 30, lambda: None)
    for _ in range(10):
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(places.taken())
            await stack.enter_async_context(places.taken())
