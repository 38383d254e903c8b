from __future__ import annotations

import asyncio

import pytest
from imagesystem.errors import Transient
from imagesystem.places import Allowance, Places


def refused() -> Exception:
    return Transient("too many wait", code="too_busy")


async def test_so_many_have_a_place_so_many_wait_and_the_rest_is_turned_away() -> None:
    places = Places(2, 1, refused)
    inside: list[int] = []
    leave = asyncio.Event()

    async def come(number: int) -> None:
        async with places.taken():
            inside.append(number)
            await leave.wait()

    coming = [asyncio.create_task(come(number)) for number in range(3)]
    await asyncio.sleep(0)
    assert inside == [0, 1]
    with pytest.raises(Transient) as caught:
        await come(3)
    assert caught.value.code == "too_busy"
    leave.set()
    await asyncio.gather(*coming)
    assert inside == [0, 1, 2]
    await come(4)
    assert inside[-1] == 4


async def test_who_leaves_the_queue_takes_no_place() -> None:
    places = Places(1, 1, refused)
    async with places.taken():
        for _ in range(3):
            waiting = asyncio.create_task(places.taken().__aenter__())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
    async with places.taken():
        pass


async def test_no_more_bytes_than_allowed_are_out_at_a_time() -> None:
    allowance = Allowance(100)
    out, most = 0, 0

    async def take(size: int) -> None:
        nonlocal out, most
        async with allowance.taken(size):
            out += size
            most = max(most, out)
            await asyncio.sleep(0)
            out -= size

    await asyncio.gather(*(take(size) for size in (40, 60, 1, 99, 30, 30, 30, 100)))
    assert most == 100
    assert allowance.free == 100


async def test_what_is_larger_than_all_is_let_in_alone() -> None:
    allowance = Allowance(100)
    async with allowance.taken(1000):
        assert allowance.free == 0
        other = asyncio.create_task(allowance.taken(1).__aenter__())
        await asyncio.sleep(0)
        assert not other.done()
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)
    assert allowance.free == 100
