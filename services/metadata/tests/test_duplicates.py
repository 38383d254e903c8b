"""Duplicates: groups against brute force, facts, and the answer over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from imagesystem import ids
from imagesystem.bus import Received
from imagesystem.events import Fact, Grouped
from metadata_service.duplicates.groups import Duplicates
from metadata_service.duplicates.hashes import MultiIndex
from metadata_service.similarity.gallery import Gallery
from metadata_service.similarity.looks import Look

from services.metadata.tests.conftest import Open, Stage
from services.metadata.tests.samples import (
    deleted,
    embedded,
    hashed,
    image_id,
    uploaded,
)

HASHES = [0, 1, 0b11, 0xFF, 0xFF00, 0xFFFF << 48, 2**64 - 1, (2**64 - 1) ^ 0b101]
VECTORS = [(1.0, 0.0), (0.99, 0.14), (0.0, 1.0)]


@given(
    values=st.lists(st.integers(0, 2**64 - 1), max_size=40),
    flips=st.lists(st.integers(0, 2**64 - 1), max_size=40),
    distance=st.integers(0, 16),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_near_hashes_are_those_that_brute_force_finds(
    values: list[int], flips: list[int], distance: int, data: st.DataObject
):
    index = MultiIndex(distance)
    values += [
        v ^ (f & data.draw(st.sampled_from([0xF, 0x8001, 0x1010101])))
        for v, f in zip(values, flips, strict=False)
    ]
    for number, value in enumerate(values):
        index.add(value, str(number))
    gone = {number for number in range(len(values)) if number % 3 == 0}
    for number in gone:
        index.remove(values[number], str(number))
    for query in values[:10]:
        expected = {
            str(number)
            for number, value in enumerate(values)
            if number not in gone and (value ^ query).bit_count() <= distance
        }
        assert set(index.near(query)) == expected


def brute(looks: Mapping[str, Look], vectors: Mapping[str, Any]) -> set[frozenset[str]]:
    """Return the groups as their definition says, pair by pair."""
    there = {name: look for name, look in looks.items() if look.exists}
    parent = {name: name for name in there}

    def top(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for one, two in combinations(there, 2):
        a, b = there[one], there[two]
        near = a.phash is not None and b.phash is not None
        near = near and (a.phash ^ b.phash).bit_count() <= 6  # type: ignore[operator]
        if one in vectors and two in vectors:
            near = near and float(np.dot(vectors[one], vectors[two])) >= 0.9
        if near or a.sha256 == b.sha256:
            parent[top(one)] = top(two)
    found: dict[str, set[str]] = {}
    for name in there:
        found.setdefault(top(name), set()).add(name)
    return {frozenset(group) for group in found.values() if len(group) > 1}


STEP = st.one_of(
    st.tuples(st.just("upload"), st.integers(0, 9), st.integers(0, 4)),
    st.tuples(st.just("hash"), st.integers(0, 9), st.integers(0, len(HASHES) - 1)),
    st.tuples(st.just("vector"), st.integers(0, 9), st.integers(0, len(VECTORS) - 1)),
    st.tuples(st.just("delete"), st.integers(0, 9), st.just(0)),
    st.tuples(st.just("settle"), st.just(0), st.just(0)),
)


@given(steps=st.lists(STEP, max_size=50))
@settings(max_examples=150, deadline=None)
def test_groups_are_what_brute_force_makes_of_all_pairs(steps: list[tuple[str, int, int]]):
    gallery = Gallery(precision="float32", graph_from=10**9)
    duplicates = Duplicates(gallery, distance=6, cosine=0.9)
    dirty: set[str] = set()
    gallery.listen(lambda change: dirty.add(change.image_id))

    async def run() -> None:
        for sequence, (what, number, value) in enumerate([*steps, ("settle", 0, 0)], start=1):
            name = image_id(number)
            fact: Fact | None = {
                "upload": lambda n=name, v=value: uploaded(n, sha256=str(v) * 64, width=v + 1),
                "hash": lambda n=name, v=value: hashed(n, HASHES[v % len(HASHES)]),
                "vector": lambda n=name, v=value: embedded(n, VECTORS[v % len(VECTORS)]),
                "delete": lambda n=name: deleted(n),
                "settle": lambda: None,
            }[what]()
            if fact is None:
                duplicates.sort(dirty)
                dirty.clear()
                continue
            received = Received(
                event=fact, subject=fact.subject, sequence=sequence, published_at=ids.now()
            )
            await gallery.take([received])

    asyncio.run(run())
    looks = gallery.looks.by_id
    vectors = {name: v[1] for name in looks if (v := gallery.vector(name)) is not None}
    expected = brute(looks, vectors)
    found = [group for _, group in duplicates.groups()]
    assert {frozenset(group.members) for group in found} == expected
    for group in found:
        assert group.root == min(group.members, key=lambda name: looks[name].uploaded)
        most = max(looks[name].pixels for name in group.members)
        assert looks[group.keeper].pixels == most
    for name, look in looks.items():
        assert (name in duplicates.unsaid) == (
            look.exists and duplicates.group_of(name) is not None
        )


async def groups(stage: Stage, **params: Any) -> list[dict[str, Any]]:
    answer = await stage.http.get("/metadata/duplicates", params=params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def until(stage: Stage, *sizes: int, said: int) -> list[dict[str, Any]]:
    """Return the groups once they have these sizes and so many pictures know of theirs."""
    async with asyncio.timeout(20):
        while True:
            found = await groups(stage)
            facts = [e.event for s, e in stage.bus.log.items() if s.endswith("duplicates")]
            told = sum(1 for fact in facts if isinstance(fact, Grouped) and fact.group)
            if sorted(each["size"] for each in found) == sorted(sizes) and told == said:
                await stage.bus.settle()
                return found
            await asyncio.sleep(0.01)


async def three(stage: Stage) -> None:
    """1 and 2: the same bytes, of two owners; 3: larger, and looks the same; 4: else."""
    await stage.say(
        uploaded(image_id(1), sha256="a" * 64, owner="ann"),
        uploaded(image_id(2), sha256="a" * 64, owner="bob"),
        uploaded(image_id(3), sha256="b" * 64, width=1280, height=960),
        uploaded(image_id(4), sha256="c" * 64),
        *(hashed(image_id(number), 0xF0F0) for number in (1, 2)),
        hashed(image_id(3), 0xF0F1),
        hashed(image_id(4), 0x0F0F0F0F0F0F0F0F),
    )


async def test_what_is_the_same_and_what_looks_the_same_are_told_apart(stage: Stage):
    await three(stage)
    (group,) = await until(stage, 3, said=3)
    assert (group["id"], group["keeper"]["id"]) == (image_id(1), image_id(3))
    assert group["exact"] == []
    near = {each["image"]["id"]: each["distance"] for each in group["near"]}
    assert near == {image_id(1): 1, image_id(2): 1}
    await stage.say(deleted(image_id(3)))
    (group,) = await until(stage, 2, said=2 + 1)  # the twin keeps the fact of what is deleted
    assert (group["keeper"]["id"], group["near"]) == (image_id(1), [])
    assert [each["image"]["id"] for each in group["exact"]] == [image_id(2)]
    assert [len(await groups(stage, kind=kind)) for kind in ("exact", "near")] == [1, 0]


async def test_pictures_know_their_group_also_after_a_rebuild(stage: Stage):
    await three(stage)
    await until(stage, 3, said=3)
    images = [(await stage.get(image_id(number))).json() for number in (1, 2, 3, 4)]
    assert [image["group"] for image in images] == [image_id(1)] * 3 + [None]
    asked = await stage.http.post("/metadata/rebuilds", json={})
    async with asyncio.timeout(20):
        while (found := (await stage.http.get(asked.headers["location"])).json())["same"] is None:
            await asyncio.sleep(0.01)
    assert (found["same"], found["differences"]) == (True, [])
    assert [(await stage.get(image_id(n))).json() for n in (1, 2, 3, 4)] == images


async def test_who_is_left_alone_is_told(stage: Stage):
    await three(stage)
    await until(stage, 3, said=3)
    await stage.say(deleted(image_id(1)), deleted(image_id(2)))
    async with asyncio.timeout(20):
        while (await stage.get(image_id(3))).json()["group"] is not None:
            await asyncio.sleep(0.01)
    assert await groups(stage) == []


async def test_looks_that_are_near_by_hash_alone_are_not_duplicates(stage: Stage):
    await three(stage)
    await until(stage, 3, said=3)
    await stage.say(embedded(image_id(1), (1.0, 0.0)), embedded(image_id(3), (0.0, 1.0)))
    # 2 has no vector: it hangs together with both.
    await until(stage, 3, said=3)
    await stage.say(embedded(image_id(2), (1.0, 0.0)))
    async with asyncio.timeout(20):
        while [each["size"] for each in await groups(stage)] != [2]:
            await asyncio.sleep(0.01)


async def test_nothing_is_said_twice_whoever_says_it(open_stage: Open, stage: Stage):
    await three(stage)
    await until(stage, 3, said=3)
    before = stage.bus.sequence
    await asyncio.sleep(0.1)
    assert stage.bus.sequence == before
    await stage.say(hashed(image_id(1), 0xF0F0))  # analysed again, with the same result
    await until(stage, 3, said=3)
    await asyncio.sleep(0.1)
    assert stage.bus.sequence == before + 1


async def test_pages_of_groups(stage: Stage):
    for pair in range(5):
        name, twin = image_id(2 * pair), image_id(2 * pair + 1)
        await stage.say(
            uploaded(name, sha256=str(pair) * 64), uploaded(twin, sha256=str(pair) * 64)
        )
    await until(stage, *[2] * 5, said=10)
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await stage.http.get("/metadata/duplicates", params=params)).json()
        seen += [each["id"] for each in page["items"]]
        assert page["total"] == 5
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [image_id(2 * pair) for pair in reversed(range(5))]
    for query in ("limit=0", "limit=101", "kind=both", "cursor=x", "cursor=-1", "group=1"):
        bad = await stage.http.get(f"/metadata/duplicates?{query}")
        assert bad.status_code == 400
