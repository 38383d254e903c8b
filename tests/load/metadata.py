"""`just bench metadata`: the metadata service over HTTP, against bare PyMongo asking the same.

A MongoDB is filled with documents about which everything is known, with embeddings of 512
dimensions, and a log with the facts that a start reads. Then the service starts, a process of its
own. Sixteen at a time ask it, and then ask MongoDB from here with the same queries. At the end
facts are folded in, against bulk upserts of as many sections.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
import numpy as np
from imagesystem import connection, ids
from imagesystem.bus import Received
from imagesystem.events import Fact
from imagesystem.server import spare_garbage
from metadata_service.mongo import MongoStore, open_store
from metadata_service.mongo_edition import DURABLE
from metadata_service.mongo_queries import (
    WITHOUT_VECTOR,
    criteria,
    order,
    pipeline,
    projection,
)
from metadata_service.queries import RELEVANCE, Query
from metadata_service.read_model import ReadModel
from metadata_service.search.language import meaning
from metadata_service.settings import Settings
from pymongo import AsyncMongoClient, UpdateOne
from rich.console import Console
from rich.table import Table

from services.metadata.tests.gallery import facts
from services.metadata.tests.samples import at, image_id
from tests.conftest import mongo_server, nats_server
from tests.load.clients import Client
from tests.load.pictures import DIMENSIONS, PART, fill
from tests.load.rebuild import memory_mb, processor_seconds, service
from tests.load.similarity import around_centres

console = Console()
AT_ONCE = 16
#: Facts in one bulk write, as in the read model.
BATCH = 512

Ask = Callable[[int], Awaitable[Any]]


class Rate(NamedTuple):
    """Answers per second, the median of one in ms, and ms of CPU for one in the process named."""

    answers: float
    median: float
    computed: float


async def rate(ask: Ask, seconds: float, pid: int) -> Rate:
    """Ask for so long, `AT_ONCE` at a time."""
    for number in range(AT_ONCE):  # connections, caches
        await ask(number)
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def asking(first: int) -> None:
        number = first
        while (began := time.perf_counter()) < end:
            await ask(number)
            times.append(time.perf_counter() - began)
            number += AT_ONCE

    computed, began = processor_seconds(pid), time.perf_counter()
    await asyncio.gather(*map(asking, range(AT_ONCE)))
    took, computed = time.perf_counter() - began, processor_seconds(pid) - computed
    return Rate(len(times) / took, statistics.median(times) * 1000, computed * 1000 / len(times))


def shapes(http: Client, documents: Any, images: int) -> dict[str, tuple[Ask, Ask]]:
    """Return what is asked: by HTTP, and of MongoDB."""

    def listed(path: str, limit: int, query: Callable[[int], str]) -> tuple[Ask, Ask]:
        def target(number: int) -> str:
            said = query(number)
            params = {"limit": str(limit)} | ({"q": said} if said else {})
            return f"{path}?{urlencode(params)}"

        async def bare(number: int) -> Any:
            said = meaning(query(number))
            asked = Query(conditions=said.conditions, words=said.words, limit=limit)
            if asked.words is None:
                found = documents.find(criteria(asked), projection(asked))
                return await found.sort(order(asked)).limit(limit + 1).to_list(None)
            best = msgspec.structs.replace(asked, sort=RELEVANCE, least_score=1.0)
            ordered = [*pipeline(best), {"$sort": dict(order(best))}, {"$limit": limit + 1}]
            found = await documents.aggregate([*ordered, {"$project": projection(best)}])
            return await found.to_list(None)

        return lambda number: http.get(target(number)), bare

    def one(number: int) -> str:
        return image_id(number * 7919 % images + 1)

    def older(number: int) -> str:
        moment = at(0) + timedelta(seconds=100 + number * 7919 % (images - 100))
        return f"uploaded<{moment:%Y-%m-%dT%H:%M:%SZ}"

    return {
        "get one": (
            lambda number: http.get(f"/metadata/images/{one(number)}"),
            lambda number: documents.find_one({"_id": one(number)}, WITHOUT_VECTOR),
        ),
        "page of 100": listed("/metadata/images/list", 100, lambda _: ""),
        "page of 100, each another": listed("/metadata/images/list", 100, older),
        "page of 100, tag and label": listed(
            "/metadata/images/list", 100, lambda _: "tag:cat label:beach:0.5"
        ),
        "page of 20, faces>1 colour": listed(
            "/metadata/images/list", 20, lambda _: "faces>1 color:#008080"
        ),
        # A word that one picture in four hundred has, in its filename.
        "a word, best 20": listed("/metadata/search", 20, lambda _: "77"),
    }


async def ingest(store: MongoStore, documents: Any, images: int) -> tuple[float, float]:
    """Return facts per second through the read model, and by bare bulk upserts."""
    said = [(number, fact) for number in range(1, images + 1) for fact in facts(number)]
    renamed = [
        msgspec.structs.replace(fact, image_id=image_id(10**9 + number)) for number, fact in said
    ]
    received = [
        Received(event=fact, subject=fact.subject, sequence=sequence, published_at=ids.now())
        for sequence, fact in enumerate(renamed, start=1)
    ]
    async with ReadModel(store, lambda _: None).running() as model:
        began = time.perf_counter()
        for start in range(0, len(received), 4 * BATCH):
            await asyncio.gather(*map(model.apply, received[start : start + 4 * BATCH]))
        ours = len(received) / (time.perf_counter() - began)
    began = time.perf_counter()
    for start in range(0, len(renamed), BATCH):
        await documents.bulk_write(
            list(map(_upsert, renamed[start : start + BATCH])), ordered=False
        )
    return ours, len(renamed) / (time.perf_counter() - began)


def _upsert(fact: Fact) -> UpdateOne:
    name = f"{fact.kind}.{fact.key}" if fact.key else fact.kind
    body = msgspec.to_builtins(fact, builtin_types=(bytes,))
    return UpdateOne({"_id": fact.image_id}, {"$set": {name: body}}, upsert=True)


async def main(images: int, seconds: float) -> None:
    """Run it and print what came of it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("nats", "mongo"):
            (folder / name).mkdir()
        nats = stack.enter_context(nats_server(folder / "nats"))
        mongodb = stack.enter_context(mongo_server(folder / "mongo", cache_gb=1))
        url = f"mongodb://127.0.0.1:{mongodb.port}"
        # Indexes of so many documents take more than an answer may take otherwise.
        patient = Settings(mongodb_url=url, mongodb_answer_timeout_s=3600)
        async with open_store(patient) as store:
            client = await connection.connect(f"nats://127.0.0.1:{nats.port}", "registry")
            await connection.provision(client, "registry")
            began = time.perf_counter()
            await fill(store, client, images, console)
            console.print(f"made in {time.perf_counter() - began:.0f} s")
            await client.close()
            nearest = _nearest(images)
            address, process = stack.enter_context(service(nats, mongodb, folder))
            port = int(address.rpartition(":")[2])
            await cold_start(Client(port), images, process.pid, nearest)
            await at_rest(process.pid)
            http = Client(port)  # the connections before were idle for too long
            bare = AsyncMongoClient(url, maxPoolSize=32, tz_aware=True)
            table = await compared(http, bare, images, seconds, process.pid)
            await common(http, process.pid)
            console.print(f"memory of the service: {memory_mb(process.pid)[0]:.0f} MB")
            sections = bare.get_database("image_system").get_collection(
                "bare", write_concern=DURABLE
            )
            spare_garbage()  # as every service does; the read model runs here this time
            one, two = await ingest(store, sections, min(images, 2000))
            table.add_row("facts", f"{one:.0f}", "", "", f"{two:.0f}", "", "", f"{one / two:.2f}")
            console.print(table)
            await bare.close()


async def compared(
    http: Client, bare: AsyncMongoClient[Any], images: int, seconds: float, pid: int
) -> Table:
    """Return the rates of the service beside those of PyMongo."""
    documents = bare.get_database("image_system").get_collection("images")
    table = Table(title=f"{images} documents, {AT_ONCE} at once; load {os.getloadavg()[0]:.0f}")
    for name in ("", "service /s", "ms", "CPU ms", "PyMongo /s", "ms", "CPU ms", "of bare"):
        table.add_column(name, justify="right")
    for name, (ours, theirs) in shapes(http, documents, images).items():
        one, two = await rate(ours, seconds, pid), await rate(theirs, seconds, os.getpid())
        cells = [
            cell
            for each in (one, two)
            for cell in (f"{each.answers:.0f}", f"{each.median:.1f}", f"{each.computed:.2f}")
        ]
        table.add_row(name, *cells, f"{one.answers / two.answers:.2f}")
        console.print(f"{name}: {one.answers / two.answers:.2f} of bare")
    return table


async def cold_start(http: Client, images: int, pid: int, nearest: list[str]) -> None:
    """Tell how long after its start the service answers what is right.

    `nearest`: the ids of the ten pictures that are nearest to the one in the middle.
    """
    began, name = time.perf_counter(), image_id(images // 2)
    asked = {
        "list": ("/metadata/images/list", lambda found: found["count"] == 50),
        "one picture": (f"/metadata/images/{name}", lambda found: found["id"] == name),
        "ready": ("/metadata/health/ready", lambda found: found["status"] == "ready"),
        "similar": (
            f"/metadata/images/{name}/similar?limit=10",
            lambda found: [each["image"]["id"] for each in found["items"]] == nearest,
        ),
    }
    for what, (path, right) in asked.items():
        seconds = await _until_right(http, path, right, began)
        computed = processor_seconds(pid)
        console.print(f"cold start: {what} after {seconds:.1f} s ({computed:.1f} s of CPU)")


async def at_rest(pid: int) -> None:
    """Wait until the service has read its log and made its graph."""
    before = processor_seconds(pid)
    while True:
        await asyncio.sleep(2)
        now = processor_seconds(pid)
        if now - before < 0.1:
            return
        before = now


def _nearest(images: int) -> list[str]:
    """Return the ten nearest pictures to the one in the middle, from all vectors."""
    middle = images // 2
    parts = list(around_centres(images, DIMENSIONS, PART))
    query = parts[(middle - 1) // PART][(middle - 1) % PART]
    scores = np.concatenate([part @ query for part in parts])
    scores[middle - 1] = -2
    return [image_id(int(place) + 1) for place in np.argsort(-scores)[:10]]


async def common(http: Client, pid: int) -> None:
    """Tell what words cost that every picture has, or very many have."""
    for asked in (
        {"q": "jpg"},
        {"q": "jpg", "total": "true"},
        {"q": "jpg", "facets": "tag,label,camera,year"},
        {"q": "jpg tag:cat faces>1"},
        {"q": "jpg 77"},
        {"q": "jpg cat -dog", "sort": "newest"},
    ):
        computed, began = processor_seconds(pid), time.perf_counter()
        found = msgspec.json.decode(await http.get(f"/metadata/search?{urlencode(asked)}"))
        seconds, computed = time.perf_counter() - began, processor_seconds(pid) - computed
        console.print(
            f"{asked}: {found['count']} of {found.get('ranked', 'all')} in {seconds:.2f} s, "
            f"{computed:.2f} s of CPU in the service"
        )


async def _until_right(
    http: Client, path: str, right: Callable[[Any], bool], began: float
) -> float:
    while True:
        try:
            if right(msgspec.json.decode(await http.get(path))):
                return time.perf_counter() - began
        except (OSError, asyncio.IncompleteReadError, RuntimeError):
            pass
        await asyncio.sleep(0.2)  # a search among all keeps a core busy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each row, twice")
    given = parser.parse_args()
    asyncio.run(main(given.images, given.seconds))
