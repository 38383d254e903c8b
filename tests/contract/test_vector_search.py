"""What is said to a MongoDB with vector search, and what one without answers.

There is no mongot where these tests run: what is asked is held to the contract as MongoDB documents
it, by what the driver sends; that a mongot understands it was not tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from bson.binary import Binary
from imagesystem.bus import Received
from imagesystem.events import Fact
from imagesystem.ids import now
from metadata_service.similarity.gallery import Gallery
from metadata_service.similarity.looks import Change
from metadata_service.similarity.mongo import VectorSearch, found_in, index_of, pipeline
from metadata_service.similarity.vectors import Space
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure
from pymongo.monitoring import CommandListener

from services.metadata.tests.samples import deleted, embedded, image_id, uploaded

pytestmark = pytest.mark.contract

TWO = Space("looks", "1", 2)


class Said(CommandListener):
    """Remembers the commands that were sent."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: Any) -> None:
        self.commands.append(dict(event.command))

    def succeeded(self, event: Any) -> None:
        """What was answered is not looked at."""

    def failed(self, event: Any) -> None:
        """What was answered is not looked at."""

    def names(self) -> list[str]:
        return [next(iter(command)) for command in self.commands]


class World:
    """A gallery whose vectors are mirrored into a collection of a real server."""

    def __init__(self, vectors: Any, said: Said) -> None:
        self.gallery = Gallery(precision="float32", graph_from=1000)
        self.search = VectorSearch(vectors, self.gallery, 4000)
        self.vectors, self.said = vectors, said
        self._sequence = 0

    async def say(self, *facts: Fact) -> None:
        for fact in facts:
            self._sequence += 1
            received = Received(
                event=fact, subject=fact.subject, sequence=self._sequence, published_at=now()
            )
            await self.gallery.take([received])


@pytest.fixture
async def world(mongodb_url: str) -> AsyncIterator[World]:
    said = Said()
    async with AsyncMongoClient[dict[str, Any]](mongodb_url, event_listeners=[said]) as client:
        database = client.get_database("vector_search")
        yield World(database.get_collection("vectors"), said)
        await client.drop_database("vector_search")


def test_the_index_that_is_asked_for():
    assert index_of(512) == {
        "name": "cosine_512",
        "type": "vectorSearch",
        "definition": {
            "fields": [
                {
                    "type": "vector",
                    "path": "vector_512",
                    "numDimensions": 512,
                    "similarity": "cosine",
                },
                {"type": "filter", "path": "space"},
            ]
        },
    }


def test_the_question_that_is_asked():
    (search, project) = pipeline(TWO, np.array([0.6, 0.8], dtype=np.float32), 20)
    vector = search["$vectorSearch"].pop("queryVector")
    assert vector.as_vector().data == pytest.approx([0.6, 0.8])
    assert search == {
        "$vectorSearch": {
            "index": "cosine_2",
            "path": "vector_2",
            "numCandidates": 400,
            "limit": 20,
            "filter": {"space": {"$eq": "looks 1"}},
        }
    }
    assert project == {"$project": {"score": {"$meta": "vectorSearchScore"}}}
    (most, _) = pipeline(TWO, np.array([0.6, 0.8], dtype=np.float32), 20_000)
    assert (most["$vectorSearch"]["numCandidates"], most["$vectorSearch"]["limit"]) == (10_000,) * 2


def test_a_score_is_half_of_one_plus_the_cosine():
    found = found_in(
        [{"_id": "a", "score": 1.0}, {"_id": "b", "score": 0.5}, {"_id": "c", "score": 0}]
    )
    assert [(each.image_id, each.cosine) for each in found] == [("a", 1), ("b", 0), ("c", -1)]


async def test_vectors_are_mirrored_once_and_removed(world: World):
    one, two = image_id(1), image_id(2)
    await world.say(uploaded(one), embedded(one, (1.0, 0.0)), uploaded(two), embedded(two, (3, 4)))
    await world.search.flush()
    rows = {row["_id"]: row async for row in world.vectors.find()}
    assert rows[two]["sequence"] == 4
    assert rows[two]["space"] == "looks 1"
    held: Binary = Binary(rows[two]["vector_2"], 9)
    assert held.as_vector().data == pytest.approx([0.6, 0.8])
    world.said.commands.clear()
    for name in (one, two):
        world.search.hear(Change(image_id=name))
    await world.search.flush()
    assert world.said.names() == ["find"], "what is there already is not written again"
    await world.say(deleted(one), embedded(two, (0.0, 1.0, 0.0), version="2"))
    await world.search.flush()
    (row,) = [row async for row in world.vectors.find()]
    assert (row["_id"], row["space"], "vector_3" in row) == (two, "looks 2", True)


async def test_a_server_without_vector_search_is_told_of_and_the_memory_answers(world: World):
    one, two = image_id(1), image_id(2)
    await world.say(uploaded(one), embedded(one, (1.0, 0.0)), uploaded(two), embedded(two, (3, 4)))
    with pytest.raises(OperationFailure):
        await world.search.prepare()
    with pytest.raises(OperationFailure):
        await world.search.nearest(TWO, np.array([1.0, 0.0], dtype=np.float32), 5)
    asked = [command["pipeline"][0] for command in world.said.commands if "pipeline" in command]
    assert [next(iter(stage)) for stage in asked] == ["$listSearchIndexes", "$vectorSearch"]
    world.gallery.neighbours = world.search
    async with world.search.running(), asyncio.timeout(30):
        while "mongot" not in (world.search.check() or ""):
            await asyncio.sleep(0.01)
    assert "VECTOR_INDEX=memory needs none" in (world.search.check() or "")
    found = await world.gallery.nearest(TWO, np.array([1.0, 0.0], dtype=np.float32), 5)
    assert [each.image_id for each in found] == [one, two]


async def test_a_server_that_has_no_such_command_refuses_the_index(world: World):
    with pytest.raises(OperationFailure):
        await world.search._create([index_of(2)])
    command = world.said.commands[-1]
    assert command["createSearchIndexes"] == "vectors"
    assert command["indexes"] == [index_of(2)]
