"""A start with documents: what looks alike is known before the log has been read."""

from __future__ import annotations

import math
import struct
from typing import Any

import msgspec
import pytest
from imagesystem.bus import Received
from imagesystem.events import Fact, Grouped
from imagesystem.ids import now
from metadata_service.folding import fold
from metadata_service.memory import MemoryStore
from metadata_service.similarity.gallery import Gallery
from metadata_service.similarity.recollection import recall

from services.metadata.tests.samples import (
    at,
    deleted,
    embedded,
    hashed,
    image_id,
    inferred,
    uploaded,
)

ONE, TWO, THREE = map(image_id, (1, 2, 3))
#: What was said, in this order.
SAID: list[Fact] = [
    uploaded(ONE, width=640, height=480),
    hashed(ONE, 2**63 + 5),
    embedded(ONE, (1.0, 0.0)),
    uploaded(TWO),
    embedded(TWO, (0.6, 0.8)),
    Grouped(image_id=TWO, group=ONE, keeper=TWO, grouped_at=at(5)),
    uploaded(THREE),
    embedded(THREE, (0.0, 1.0)),
    deleted(THREE),
]


def received(facts: list[Fact], first: int = 1) -> list[Received[Fact]]:
    return [
        Received(event=fact, subject=fact.subject, sequence=sequence, published_at=now())
        for sequence, fact in enumerate(facts, start=first)
    ]


async def store_of(facts: list[Fact]) -> MemoryStore:
    store, documents = MemoryStore(), {}
    for each in received(facts):
        name = each.event.image_id
        documents[name] = fold(documents.get(name), each.event, each.sequence) or documents[name]
    await store.insert(list(documents.values()))
    return store


def gallery() -> Gallery:
    return Gallery(precision="float32", graph_from=1000)


def looks(of: Gallery) -> dict[str, Any]:
    """Return how the pictures look that are there."""
    every = of.looks.by_id.items()
    return {name: msgspec.structs.asdict(look) for name, look in every if look.exists}


async def test_documents_and_facts_give_the_same_looks():
    recalled, told = gallery(), gallery()
    await recall(recalled, await store_of(SAID))
    await told.take(received(SAID))
    assert looks(recalled) == looks(told)
    assert recalled.vector(THREE) is None
    for name in (ONE, TWO):
        one, other = recalled.vector(name), told.vector(name)
        assert one is not None
        assert other is not None
        assert one[0] == other[0]
        assert one[1].tolist() == other[1].tolist()


async def test_what_is_newer_in_the_log_counts():
    late = received([embedded(ONE, (0.0, -1.0)), deleted(TWO), inferred(THREE)], len(SAID) + 1)
    recalled, told = gallery(), gallery()
    await recall(recalled, await store_of(SAID))
    for each in (recalled, told):
        await each.take([*received(SAID), *late])
    assert looks(recalled) == looks(told)
    space, vector = recalled.vector(ONE) or (None, None)
    assert space is not None
    assert vector is not None
    assert vector.tolist() == [0.0, -1.0]
    assert [found.image_id for found in await recalled.nearest(space, vector, 9)] == [ONE]


async def test_nothing_is_recalled_over_what_is_known_already():
    known = gallery()
    await known.take(received(SAID[:3]))
    await recall(known, await store_of(SAID))
    assert list(looks(known)) == [ONE]


@pytest.mark.parametrize(
    "broken",
    [
        {"vector": "AAAA"},
        {"dimensions": 3},
        {"vector": None},
        {"vector": struct.pack("<2f", math.nan, 1.0)},
        {"vector": bytes(8)},
    ],
)
async def test_what_cannot_be_read_is_left_to_the_log(broken: dict[str, Any]):
    store = await store_of(SAID[:3])
    document = store.documents[ONE]
    answer = document.inferred["embedding"]
    answer = msgspec.structs.replace(answer, result=answer.result | broken)
    inferred = document.inferred | {"embedding": answer}
    store.documents[ONE] = msgspec.structs.replace(document, inferred=inferred)
    recalled = gallery()
    await recall(recalled, store)
    assert recalled.vector(ONE) is None
    assert recalled.looks.by_id[ONE].uploaded == 1
    await recalled.take(received(SAID[:3]))
    assert recalled.vector(ONE) is not None


async def test_a_database_that_is_down_is_no_hindrance():
    store = await store_of(SAID)
    store.down = True
    recalled = gallery()
    await recall(recalled, store)
    assert looks(recalled) == {}
