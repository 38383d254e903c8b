"""Rebuilds step by step: facts meanwhile, whoever takes over, and sums of digests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagesystem.bus import Received
from imagesystem.bus.memory import MemoryBus
from imagesystem.events import Event
from metadata_service.documents import Document
from metadata_service.folding import fold, fold_all
from metadata_service.memory import MemoryStore
from metadata_service.read_model import fold_into
from metadata_service.rebuilds import Phase, Rebuild
from metadata_service.rebuilds.digests import Sum, state_digest
from metadata_service.rebuilds.memory import MemoryEdition
from metadata_service.rebuilds.rebuilder import Rebuilder
from metadata_service.rebuilds.steps import Rebuilding

from services.metadata.tests.samples import (
    IMAGE,
    annotated,
    at,
    augmented,
    deleted,
    failed,
    image_id,
    inferred,
    planned,
    uploaded,
)

PATH = "/metadata/rebuilds"


class World:
    """A store that is behind a bus, as if a consumer had taken in all facts."""

    def __init__(self) -> None:
        self.bus, self.store = MemoryBus(), MemoryStore()
        self.number = 0

    async def say(self, *events: Event) -> None:
        """Publish, and let the consumer take it in as it does: into what is served."""
        for event in events:
            said = await self.bus.publish(event)
            received = self.bus.log[event.subject]
            assert received.sequence == said.sequence
            await fold_into(self.store, [received])  # type: ignore[list-item]

    async def busy(self) -> None:
        """Say something new and something else about what is there."""
        self.number += 1
        name = image_id(100_000 - self.number)  # never ahead of somebody who walks by id
        await self.say(uploaded(name), annotated(image_id(1 + self.number % 39)))

    @asynccontextmanager
    async def rebuilder(self) -> AsyncIterator[Rebuilder]:
        async def prepared() -> None:
            return None

        async with Rebuilder(
            self.store, self.bus, prepared, look_every_s=0.01
        ).running() as rebuilder:
            yield rebuilder

    async def ended(self) -> Rebuild:
        async with asyncio.timeout(30):
            while True:
                found = await self.store.editions.latest()
                if found and found[0].ended:
                    return found[0]
                await asyncio.sleep(0.01)

    def expected(self) -> dict[str, bytes]:
        """Return what a reader of the whole log would know."""
        about: dict[str, list[Received[Any]]] = {}
        for received in sorted(self.bus.log.values(), key=lambda each: each.sequence):
            about.setdefault(received.event.image_id, []).append(received)  # type: ignore[union-attr]
        made = {name: fold_all(None, facts) for name, facts in about.items()}
        return {name: digest(found) for name, found in made.items() if found is not None}

    def held(self) -> dict[str, bytes]:
        return {name: digest(found) for name, found in self.store.documents.items()}


def digest(document: Document) -> bytes:
    return state_digest(msgspec.to_builtins(document))


@pytest.fixture
async def world() -> World:
    world = World()
    for number in range(1, 40):
        name = image_id(number)
        await world.say(uploaded(name, minutes=number), planned(name), inferred(name))
    await world.store.editions.mark_whole()
    return world


async def test_facts_said_throughout_are_neither_lost_nor_counted_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """Each write, page, exchange and note of the rebuild has facts before and behind it."""
    for owner, names in (
        (MemoryEdition, ("insert", "scan", "prepare")),
        (type(world.store.editions), ("serve", "save", "drop")),
    ):
        for name in names:
            monkeypatch.setattr(owner, name, surrounded(getattr(owner, name), world.busy))
    async with world.rebuilder() as rebuilder:
        await rebuilder.ask("asked")
        found = await world.ended()
    assert (found.phase, found.differing) == ("done", 0)
    assert world.number > 10
    assert world.held() == world.expected()
    assert found.before == found.after


def surrounded(call: Callable[..., Any], also: Callable[[], Any]) -> Callable[..., Any]:
    async def calling(*arguments: Any, **named: Any) -> Any:
        await also()
        answer = await call(*arguments, **named)
        await also()
        return answer

    return calling


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "phase", ["waiting", "loading", "indexing", "comparing", "swapping", "settling"]
)
async def test_whoever_takes_over_ends_what_another_began(
    world: World, phase: Phase, late: bool, monkeypatch: pytest.MonkeyPatch
):
    """A process dies at a step, before or after what it does; facts come meanwhile."""
    monkeypatch.setattr("metadata_service.rebuilds.rebuilder.LEASE_S", 0.05)
    died = asyncio.Event()
    original = Rebuilding.STEPS[phase]

    async def deadly(rebuilding: Rebuilding, rebuild: Rebuild) -> Rebuild:
        if not died.is_set():
            if late:
                with monkeypatch.context() as patch:
                    # All of the step is done, but nobody can write it down.
                    patch.setattr(rebuilding, "_save", unsaved)
                    await original(rebuilding, rebuild)
            died.set()
            await asyncio.sleep(3600)  # the process is gone
        return await original(rebuilding, rebuild)

    async def unsaved(rebuild: Rebuild) -> Rebuild:
        return rebuild

    monkeypatch.setitem(Rebuilding.STEPS, phase, deadly)
    async with world.rebuilder() as first:
        await first.ask("asked")
        await died.wait()
    await world.busy()
    async with world.rebuilder():
        found = await world.ended()
    assert (found.phase, found.attempts) == ("done", 2)
    assert world.held() == world.expected()


async def test_while_the_database_is_down_it_waits(world: World):
    async with world.rebuilder() as rebuilder:
        await rebuilder.ask("asked")
        world.store.down = True
        await asyncio.sleep(0.1)
        world.store.down = False
        found = await world.ended()
    assert found.phase == "done"
    assert world.held() == world.expected()


def test_sums_do_not_depend_on_order_and_can_be_taken_apart():
    one, two = Sum(), Sum()
    digests = [bytes([n]) * 32 for n in range(5)]
    for each in digests:
        one.add(each)
    for each in [*reversed(digests), b"\xff" * 32]:
        two.add(each)
    assert one.hex != two.hex
    two.take_out(b"\xff" * 32)
    assert (one.hex, one.count) == (two.hex, two.count)


MAKERS = [uploaded, planned, inferred, annotated, augmented, failed, deleted]


@given(st.lists(st.tuples(st.sampled_from(MAKERS), st.integers(1, 30)), max_size=20))
def test_folding_all_at_once_is_folding_one_by_one(steps: list[tuple[Any, int]]):
    facts = [
        Received(event=make(), subject="", sequence=sequence, published_at=at(0))
        for make, sequence in steps
    ]
    document = None
    for each in facts:
        document = fold(document, each.event, each.sequence) or document
    assert fold_all(None, facts) == document
    if document is not None:
        assert fold_all(document, facts) is None
        assert document.image_id == IMAGE
