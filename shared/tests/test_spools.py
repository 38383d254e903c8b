from __future__ import annotations

import hashlib
import io
import os

import pytest
from imagesystem import ids
from imagesystem.errors import StoreFull
from imagesystem.spools import FLUSH_BYTES, Spool, Spools

EACH, ALL = 1_000_000, 2_500_000


async def filled(spools: Spools, data: bytes, piece: int = 50_000) -> Spool:
    spool = spools.open("public")
    for n in range(0, len(data), piece):
        await spool.write(data[n : n + piece])
    await spool.finish()
    return spool


def in_memory(spool: Spool) -> bool:
    return isinstance(spool.file, io.BytesIO)


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, FLUSH_BYTES, EACH, EACH + 1, 3_000_000])
async def test_what_goes_in_comes_out(size: int) -> None:
    data = os.urandom(size)
    with await filled(Spools(memory_each=EACH, memory_all=ALL), data) as spool:
        assert b"".join([piece async for piece in spool.pieces()]) == data
        assert b"".join([piece async for piece in spool.pieces()]) == data
        assert await spool.whole() == data
        assert spool.image_id == ids.image_id(data)
        assert spool.sha256 == hashlib.sha256(data).hexdigest()
        assert spool.size == size
        assert in_memory(spool) == (size <= EACH)


async def test_together_they_hold_no_more_memory_than_allowed() -> None:
    spools, data = Spools(memory_each=EACH, memory_all=ALL), bytes(EACH)
    first, second, third = [await filled(spools, data) for _ in range(3)]
    assert [in_memory(spool) for spool in (first, second, third)] == [True, True, False]
    first.close()
    first.close()
    again = await filled(spools, data)
    assert in_memory(again)
    for spool in (second, third, again):
        spool.close()
    assert spools.memory.take(ALL)


async def test_no_memory_at_all_is_disk() -> None:
    data = os.urandom(600_000)
    with await filled(Spools(memory_each=0, memory_all=0), data) as spool:
        assert not in_memory(spool)
        assert b"".join([piece async for piece in spool.pieces()]) == data


async def test_no_room_on_the_disk_is_no_room() -> None:
    spools = Spools(memory_each=10, memory_all=10, directory="/dev/null/none")
    with spools.open("public") as spool, pytest.raises(StoreFull, match="no room"):
        await filled_into(spool, bytes(100))
    with spools.open("public") as spool:
        await filled_into(spool, bytes(10))


async def filled_into(spool: Spool, data: bytes) -> None:
    await spool.write(data)
    await spool.finish()
