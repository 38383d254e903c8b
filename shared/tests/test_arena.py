from __future__ import annotations

import asyncio
import hashlib
import mmap
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from imagesystem.arena import Arena, Piece
from imagesystem.workers import WorkerDied, WorkerPool

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="Linux alone has it")


@pytest.fixture
def arena() -> Iterator[Arena]:
    arena = Arena(1000)
    yield arena
    arena.close()


def read(arena: Arena, name: str) -> bytes | None:
    piece = arena.get(name)
    return None if piece is None else arena.window().read(piece)


def test_the_oldest_gives_way(arena: Arena) -> None:
    for number in range(6):
        assert arena.put(str(number), bytes([number]) * 200)
    assert read(arena, "0") is None  # under the sixth
    assert [read(arena, str(number)) for number in range(1, 6)] == [
        bytes([number]) * 200 for number in range(1, 6)
    ]
    arena.drop("3")
    assert read(arena, "3") is None


def test_whatever_is_said_to_be_there_is_what_was_put(arena: Arena) -> None:
    chance, put = random.Random(5), {}
    for _ in range(3000):
        name = str(chance.randrange(40))
        if chance.random() < 0.1:
            arena.drop(name)
            put.pop(name, None)
        else:
            data = chance.randbytes(chance.randrange(1, 300))
            piece = arena.put(name, data)
            assert (piece is None) == (len(data) > 250)
            put[name] = data if piece else put.get(name, b"")
        for each, data in put.items():
            assert read(arena, each) in (None, data)
    assert any(read(arena, each) for each in put)


def test_what_is_held_stays(arena: Arena) -> None:
    piece = arena.put("held", b"h" * 200)
    assert piece is not None
    with arena.holding(piece):
        arena.drop("held")
        for number in range(9):
            arena.put(str(number), b"x" * 250)
        assert arena.window().read(piece) == b"h" * 200
    for number in range(9):
        assert arena.put(str(number), b"x" * 250)


def test_the_same_name_again_is_the_new_bytes(arena: Arena) -> None:
    arena.put("one", b"old")
    arena.put("one", b"newer")
    assert read(arena, "one") == b"newer"


def digest(data: bytes, again: bytes = b"") -> str:
    return hashlib.sha256(data + again).hexdigest()


def die(_: bytes) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def tamper(_: bytes) -> list[str]:
    """Try to write to whatever this process has of the arena; return what came of it."""
    outcomes = []
    for link in list(Path("/proc/self/fd").iterdir()):
        try:
            if "memfd:arena" not in str(link.readlink()):
                continue
        except FileNotFoundError:  # what listed them
            continue
        for spoil in (
            lambda fd: os.pwrite(fd, b"evil", 0),
            lambda fd: mmap.mmap(fd, 4096),
            lambda fd: os.ftruncate(fd, 0),
        ):
            fd = os.open(link, os.O_RDWR)
            try:
                spoil(fd)
                outcomes.append("done")
            except OSError:
                outcomes.append("refused")
            finally:
                os.close(fd)
    return outcomes


async def test_workers_read_and_cannot_write() -> None:
    arena = Arena(1 << 20)
    try:
        piece = arena.put("one", b"picture")
        assert piece is not None
        async with WorkerPool(2, arena=arena) as pool:
            with arena.holding(piece):
                found = await asyncio.gather(*(pool.run(digest, piece, b"!") for _ in range(6)))
                assert set(found) == {digest(b"picture!")}
                assert set(await pool.run(tamper, piece)) == {"refused"}
                assert await pool.run(digest, piece) == digest(b"picture")
                with pytest.raises(WorkerDied):
                    await pool.run(die, piece)
                found = await asyncio.gather(*(pool.run(digest, piece) for _ in range(6)))
                assert set(found) == {digest(b"picture")}  # the one that took its place, too
            late = arena.put("two", b"after they were started")
            assert late is not None
            assert await pool.run(digest, late) == digest(b"after they were started")
    finally:
        arena.close()


def test_pieces_overlap_where_they_share_a_byte() -> None:
    assert Piece(0, 10).overlaps(Piece(9, 1))
    assert not Piece(0, 10).overlaps(Piece(10, 5))
