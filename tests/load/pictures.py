"""So many pictures about which everything is known: documents in MongoDB, facts in the log.

The log has what a start reads (uploads, analyses and embeddings), the documents have the rest too.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
from imagesystem.bus import api
from imagesystem.bus.provisioning import consumer_config
from imagesystem.events import Embedding, Fact
from metadata_service.documents import Document, Inference
from metadata_service.mongo import MongoStore
from nats.aio.client import Client
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from services.metadata.tests.gallery import picture
from services.metadata.tests.samples import at, embedded, hashed, image_id, uploaded
from tests.load.rebuild import FACTS, Speaker
from tests.load.similarity import around_centres

__all__ = ["DIMENSIONS", "PART", "fill"]

#: Pictures that differ; all others are copies of these under other ids and times.
KINDS = 400
DIMENSIONS = 512
#: Documents in one write.
PART = 1000


async def fill(store: MongoStore, client: Client, images: int, console: Console) -> None:
    """Make so many pictures, in bounded memory; indexes are made at the end, which is faster."""
    kinds = [picture(number) for number in range(1, KINDS + 1)]
    speaker = Speaker(client)
    await speaker.open()
    with Progress(console=console) as progress:
        task = progress.add_task("making pictures", total=images)
        number = 0
        for vectors in around_centres(images, DIMENSIONS, PART):
            part = [
                _copied(kinds[(number + place) % KINDS], number + place + 1, vector.tobytes())
                for place, vector in enumerate(vectors)
            ]
            number += len(part)
            await asyncio.gather(store.insert(part), _say(speaker, number - len(part), vectors))
            progress.update(task, completed=number)
        await speaker.settle()
        progress.update(task, description="making indexes", total=None)
        await store.prepare()
        await store.editions.mark_whole()
        # What was said is in the documents: the consumer begins behind it.
        config = consumer_config(FACTS) | {"deliver_policy": "new"}
        await api.api_call(
            client,
            f"CONSUMER.DURABLE.CREATE.IMAGES.{FACTS.name}",
            {"stream_name": "IMAGES", "config": config},
        )
        progress.update(task, description="made", total=images)


def _copied(kind: Document, number: int, vector: bytes) -> Document:
    assert kind.uploaded is not None
    moment = (at(0) + timedelta(seconds=number)).replace(microsecond=0)
    said = embedded()
    embedding = Inference(
        model=said.model,
        model_version=said.model_version,
        duration_ms=said.duration_ms,
        inferred_at=at(2),
        result={"dimensions": DIMENSIONS, "vector": vector},
    )
    return msgspec.structs.replace(
        kind,
        image_id=image_id(number),
        uploaded=msgspec.structs.replace(kind.uploaded, uploaded_at=moment),
        inferred=kind.inferred | {"embedding": embedding},
        seq=kind.seq | {"inferred.embedding": 1 + max(kind.seq.values())},
        moment=kind.taken_at or moment,
    )


async def _say(speaker: Speaker, before: int, vectors: NDArray[Any]) -> None:
    for number, vector in enumerate(vectors, start=before + 1):
        for fact in _facts(number, vector):
            await speaker.say(fact)


def _facts(number: int, vector: NDArray[Any]) -> Iterator[Fact]:
    name = image_id(number)
    yield uploaded(name, minutes=number / 60)
    yield hashed(name, random.Random(number).getrandbits(64))
    result = Embedding(dimensions=len(vector), vector=vector.tobytes())
    yield msgspec.structs.replace(embedded(name), result=result)
