from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imagesystem import ids
from imagesystem.bus import Received
from imagesystem.errors import Unavailable
from imagesystem.events import Fact
from metadata_service.documents import Document
from metadata_service.folding import fold
from metadata_service.memory import MemoryStore
from metadata_service.read_model import MANY, ReadModel
from metadata_service.store import Unstorable

from services.metadata.tests.samples import (
    IMAGE,
    annotated,
    augmented,
    image_id,
    inferred,
    planned,
    uploaded,
)


def received(fact: Fact, sequence: int) -> Received[Fact]:
    return Received(event=fact, subject=fact.subject, sequence=sequence, published_at=ids.now())


async def test_what_arrives_together_is_written_together():
    store, heard = MemoryStore(), []
    async with ReadModel(store, heard.append).running() as model:
        facts = [received(uploaded(image_id(n)), n) for n in range(1, 31)]
        facts.append(received(planned(image_id(1)), 40))
        await asyncio.gather(*map(model.apply, facts))
    assert store.writes == [30]
    assert set(heard[0]) == {image_id(n) for n in range(1, 31)}
    assert store.documents[image_id(1)].seq == {"uploaded": 1, "planned": 40}


async def test_while_much_is_written_the_rest_is_folded_but_nothing_about_the_same_image():
    class Gated(MemoryStore):
        """Writes when the gate is open."""

        def __init__(self) -> None:
            super().__init__()
            self.gate = asyncio.Event()
            self.writing: list[set[str]] = []

        async def write(self, documents: Sequence[Document]) -> None:
            self.writing.append({document.image_id for document in documents})
            await self.gate.wait()
            await super().write(documents)

    async def begun(writes: int) -> None:
        async with asyncio.timeout(30):
            while len(store.writing) < writes:
                await asyncio.sleep(0)

    store = Gated()
    async with ReadModel(store, lambda _: None).running() as model:
        first = asyncio.create_task(model.apply(received(uploaded(image_id(0)), 1)))
        await begun(1)
        late = [received(planned(image_id(0)), 1000)]
        late += [received(uploaded(image_id(n)), n + 1) for n in range(1, MANY + 1)]
        rest = [asyncio.create_task(model.apply(each)) for each in late]
        await begun(2)
        last = asyncio.create_task(model.apply(received(uploaded(image_id(999)), 2000)))
        for _ in range(5):
            await asyncio.sleep(0)
        assert store.writing == [{image_id(0)}, {image_id(n) for n in range(1, MANY + 1)}]
        store.gate.set()
        await asyncio.gather(first, *rest, last)
    assert store.writes == [1, MANY, 2]
    assert store.documents[image_id(0)].seq == {"uploaded": 1, "planned": 1000}


async def test_the_same_fact_again_writes_nothing():
    store = MemoryStore()
    async with ReadModel(store, lambda _: None).running() as model:
        await model.apply(received(uploaded(), 1))
        await model.apply(received(uploaded(), 1))
    assert store.writes == [1]
    assert store.documents[IMAGE].version == 1


async def test_two_replicas_lose_nothing_to_each_other():
    store = MemoryStore()

    class Slow(MemoryStore):
        """Lets the other replica write between every read and write."""

        def __init__(self) -> None:
            super().__init__()
            self.documents = store.documents

        async def read(self, image_ids: Sequence[str]) -> dict[str, Document]:  # type: ignore[override]
            found = await super().read(image_ids)
            await asyncio.sleep(0)
            return found

    async with (
        ReadModel(Slow(), lambda _: None).running() as one,
        ReadModel(Slow(), lambda _: None).running() as two,
    ):
        await asyncio.gather(
            *(
                (one if number % 2 else two).apply(
                    received(augmented(variant=f"v{number}"), number)
                )
                for number in range(2, 22)
            ),
            one.apply(received(uploaded(), 1)),
            two.apply(received(inferred(), 51)),
        )
    document = store.documents[IMAGE]
    assert len(document.augmented) == 20
    assert set(document.seq.values()) == {*range(1, 22), 51}


async def test_an_outage_is_told_to_everyone_and_nothing_is_half_done():
    store = MemoryStore()
    store.down = True
    async with ReadModel(store, lambda _: None).running() as model:
        results = await asyncio.gather(
            *(model.apply(received(uploaded(image_id(n)), n)) for n in range(1, 4)),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [Unavailable] * 3
        store.down = False
        await model.apply(received(uploaded(), 9))
    assert list(store.documents) == [IMAGE]


async def test_one_fact_that_cannot_be_stored_does_not_hold_up_the_others():
    class Choosy(MemoryStore):
        async def write(self, documents: Sequence[Document]) -> None:
            if any(document.annotated for document in documents):
                raise Unstorable("no annotations here")
            await super().write(documents)

    store = Choosy()
    async with ReadModel(store, lambda _: None).running() as model:
        results = await asyncio.gather(
            model.apply(received(uploaded(), 1)),
            model.apply(received(annotated(), 2)),
            model.apply(received(planned(), 3)),
            model.apply(received(uploaded(image_id(2)), 4)),
            return_exceptions=True,
        )
    assert [type(result).__name__ for result in results] == [
        "NoneType",
        "Unstorable",
        "NoneType",
        "NoneType",
    ]
    assert store.documents[IMAGE].seq == {"uploaded": 1, "planned": 3}


async def test_a_caller_that_gives_up_leaves_the_rest_alone():
    store = MemoryStore()
    async with ReadModel(store, lambda _: None).running() as model:
        impatient = asyncio.create_task(model.apply(received(uploaded(), 1)))
        patient = asyncio.create_task(model.apply(received(planned(), 2)))
        await asyncio.sleep(0)
        impatient.cancel()
        await patient
        with pytest.raises(asyncio.CancelledError):
            await impatient
    assert store.documents[IMAGE].seq == {"uploaded": 1, "planned": 2}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.randoms(use_true_random=False))
async def test_batches_give_what_one_by_one_gives(sizes, chance):
    kinds = [uploaded, planned, inferred, annotated]
    numbered = [
        received(chance.choice(kinds)(image_id(chance.randrange(3))), number)
        for number in range(1, 41)
    ]
    expected: dict[str, Document] = {}
    for each in numbered:
        name = each.event.image_id
        expected[name] = fold(expected.get(name), each.event, each.sequence) or expected[name]
    chance.shuffle(numbered)
    store = MemoryStore()
    async with ReadModel(store, lambda _: None).running() as model:
        while numbered:
            size = (sizes.pop() if sizes else 0) + 1
            batch, numbered = numbered[:size], numbered[size:]
            await asyncio.gather(*map(model.apply, batch))
    assert {name: document.seq for name, document in store.documents.items()} == {
        name: document.seq for name, document in expected.items()
    }
