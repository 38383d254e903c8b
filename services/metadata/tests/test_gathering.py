"""Reads of single items that are made together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from imagesystem.errors import Unavailable
from metadata_service.gathering import AT_ONCE, MOST, Gathering


class Shelf:
    """Items that are read when the test says so; `reads`: the keys of each read so far."""

    def __init__(self) -> None:
        self.items = {f"k{number}": number for number in range(100)}
        self.reads: list[list[str]] = []
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def read(self, keys: Sequence[str]) -> dict[str, int]:
        self.reads.append(list(keys))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        if "broken" in keys:
            raise ValueError("it cannot be read")
        return {key: self.items[key] for key in keys if key in self.items}


async def asked(gathering: Gathering[int], *keys: str) -> list[asyncio.Task[int | None]]:
    tasks = [asyncio.create_task(gathering.get(key)) for key in keys]
    for _ in range(3):  # a turn to ask in, one to begin the read in, one to be read in
        await asyncio.sleep(0)
    return tasks


async def test_what_is_asked_together_is_read_together():
    shelf = Shelf()
    tasks = await asked(Gathering(shelf.read), "k1", "k2", "k1", "nothing")
    assert shelf.reads == [["k1", "k2", "nothing"]]
    shelf.gate.set()
    assert await asyncio.gather(*tasks) == [1, 2, 1, None]


async def test_what_is_asked_meanwhile_is_read_afterwards():
    """Also what is being read: an answer is never older than the question."""
    shelf = Shelf()
    gathering = Gathering(shelf.read)
    first = [await asked(gathering, f"k{number}") for number in range(AT_ONCE)]
    late = await asked(gathering, "k0", "k7")
    assert shelf.reads == [[f"k{number}"] for number in range(AT_ONCE)]
    shelf.items["k0"] = 1000
    shelf.gate.set()
    assert await asyncio.gather(*late) == [1000, 7]
    assert shelf.reads[AT_ONCE:] == [["k0", "k7"]]
    assert [task.done() for tasks in first for task in tasks] == [True] * AT_ONCE


async def test_a_read_is_bounded():
    shelf = Shelf()
    shelf.gate.set()
    gathering = Gathering(shelf.read)
    keys = [f"k{number}" for number in range(3 * MOST)]
    assert await asyncio.gather(*map(gathering.get, keys)) == [shelf.items.get(key) for key in keys]
    assert [len(read) for read in shelf.reads] == [MOST] * 3


async def test_an_outage_is_everybodys():
    shelf = Shelf()
    shelf.gate.set()
    shelf.error = Unavailable("mongodb")
    gathering = Gathering(shelf.read)
    answers = await asyncio.gather(gathering.get("k1"), gathering.get("k2"), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 2
    assert len(shelf.reads) == 1
    shelf.error = None
    assert await gathering.get("k1") == 1


async def test_what_cannot_be_read_is_no_fault_of_the_others():
    shelf = Shelf()
    shelf.gate.set()
    gathering = Gathering(shelf.read)
    answers = await asyncio.gather(
        *map(gathering.get, ("k1", "broken", "k2")), return_exceptions=True
    )
    assert [answers[0], answers[2]] == [1, 2]
    assert isinstance(answers[1], ValueError)


async def test_whoever_leaves_takes_nothing_away():
    shelf = Shelf()
    gathering = Gathering(shelf.read)
    leaving, staying = await asked(gathering, "k1", "k1")
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    shelf.gate.set()
    assert await staying == 1
