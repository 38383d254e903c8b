"""`just bench metadata`: the metadata service over HTTP, against bare PyMongo asking the same.

A MongoDB is filled with documents about which everything is known, with embeddings of 512
dimensions. Sixteen at a time ask the service, a process of its own, and then ask MongoDB from here
with the same queries. At the end facts are folded in, against bulk upserts of as many sections.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
from imagesystem import connection, ids
from imagesystem.bus import Received
from imagesystem.events import Fact
from metadata_service.documents import Document
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
from rich.progress import Progress
from rich.table import Table

from services.metadata.tests.gallery import facts, picture
from services.metadata.tests.samples import at, image_id
from tests.conftest import mongo_server, nats_server
from tests.load.rebuild import memory_mb, service

console = Console()
AT_ONCE = 16
#: Pictures that differ; all others are copies of these under other ids and times.
KINDS = 400
DIMENSIONS = 512
#: Facts in one bulk write, as in the read model.
BATCH = 512

Ask = Callable[[int], Awaitable[Any]]


class Http:
    """Connections kept open: a client that costs little itself."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self, path: str) -> bytes:
        """Return the body of an answer that must be 200."""
        if self._free:
            reader, writer = self._free.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
        writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(body.decode())
        self._free.append((reader, writer))
        return body


def made(number: int, kinds: Sequence[Document]) -> Document:
    """Return document `number`."""
    kind = kinds[number % len(kinds)]
    assert kind.uploaded is not None
    moment = at(0) + timedelta(seconds=number)
    moment = moment.replace(microsecond=0)
    upload = msgspec.structs.replace(kind.uploaded, uploaded_at=moment)
    inferred = dict(kind.inferred)
    if "embedding" in inferred:
        result = {"dimensions": DIMENSIONS, "vector": os.urandom(4 * DIMENSIONS)}
        inferred["embedding"] = msgspec.structs.replace(inferred["embedding"], result=result)
    return msgspec.structs.replace(
        kind,
        image_id=image_id(number),
        uploaded=upload,
        inferred=inferred,
        moment=kind.taken_at or moment,
    )


async def fill(store: MongoStore, images: int) -> None:
    """Insert so many documents."""
    kinds = [picture(number) for number in range(1, KINDS + 1)]
    with Progress(console=console) as progress:
        task = progress.add_task("filling MongoDB", total=images)
        for start in range(1, images + 1, 1000):
            end = min(start + 1000, images + 1)
            await store.insert([made(number, kinds) for number in range(start, end)])
            progress.update(task, completed=end - 1)
    await store.editions.mark_whole()


async def rate(ask: Ask, seconds: float) -> tuple[float, float]:
    """Return answers per second with `AT_ONCE` asking, and the median of one in ms."""
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

    began = time.perf_counter()
    await asyncio.gather(*map(asking, range(AT_ONCE)))
    took = time.perf_counter() - began
    return len(times) / took, sorted(times)[len(times) // 2] * 1000


def shapes(http: Http, documents: Any, images: int) -> dict[str, tuple[Ask, Ask]]:
    """Return what is asked: by HTTP, and of MongoDB."""

    def listed(path: str, limit: int, **params: str) -> tuple[Ask, Ask]:
        said = meaning(params.get("q", ""))
        asked = Query(conditions=said.conditions, words=said.words, limit=limit)
        target = f"{path}?{urlencode({'limit': str(limit), **params})}"

        async def bare(_: int) -> Any:
            if asked.words is None:
                found = documents.find(criteria(asked), projection(asked))
                return await found.sort(order(asked)).limit(limit + 1).to_list(None)
            best = msgspec.structs.replace(asked, sort=RELEVANCE, least_score=1.0)
            ordered = [*pipeline(best), {"$sort": dict(order(best))}, {"$limit": limit + 1}]
            found = await documents.aggregate([*ordered, {"$project": projection(best)}])
            return await found.to_list(None)

        return lambda _: http.get(target), bare

    def one(number: int) -> str:
        return image_id(number * 7919 % images + 1)

    return {
        "get one": (
            lambda number: http.get(f"/metadata/images/{one(number)}"),
            lambda number: documents.find_one({"_id": one(number)}, WITHOUT_VECTOR),
        ),
        "page of 100": listed("/metadata/images/list", 100),
        "page of 100, tag and label": listed(
            "/metadata/images/list", 100, q="tag:cat label:beach:0.5"
        ),
        "page of 20, faces>1 colour": listed(
            "/metadata/images/list", 20, q="faces>1 color:#008080"
        ),
        # A word that one picture in `KINDS` has, in its filename.
        "a word, best 20": listed("/metadata/search", 20, q="77"),
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
    """Run it and print a table."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("nats", "mongo"):
            (folder / name).mkdir()
        nats = stack.enter_context(nats_server(folder / "nats"))
        mongodb = stack.enter_context(mongo_server(folder / "mongo"))
        url = f"mongodb://127.0.0.1:{mongodb.port}"
        async with open_store(Settings(mongodb_url=url)) as store:
            await store.prepare()
            await fill(store, images)
            client = await connection.connect(f"nats://127.0.0.1:{nats.port}", "registry")
            await connection.provision(client, "registry")
            await client.close()
            began = time.perf_counter()
            address, process = stack.enter_context(service(nats, mongodb, folder))
            http = Http(int(address.rpartition(":")[2]))
            listed = await _until_answered(http, "/metadata/images/list", began)
            whole = await _until_answered(http, "/metadata/health/ready", began)
            console.print(f"cold start: answers after {listed:.1f} s, ready after {whole:.1f} s")
            bare = AsyncMongoClient(url, maxPoolSize=32, tz_aware=True)
            documents = bare.get_database("image_system").get_collection("images")
            table = Table(title=f"{images} documents, {AT_ONCE} at once")
            for name in ("", "service /s", "ms", "PyMongo /s", "ms", "of bare"):
                table.add_column(name, justify="right")
            for name, (ours, theirs) in shapes(http, documents, images).items():
                one, two = await rate(ours, seconds), await rate(theirs, seconds)
                cells = (f"{one[0]:.0f}", f"{one[1]:.1f}", f"{two[0]:.0f}", f"{two[1]:.1f}")
                table.add_row(name, *cells, f"{one[0] / two[0]:.2f}")
            console.print(f"memory of the service: {memory_mb(process.pid)[0]:.0f} MB")
            sections = bare.get_database("image_system").get_collection(
                "bare", write_concern=DURABLE
            )
            one_rate, two_rate = await ingest(store, sections, min(images, 2000))
            table.add_row(
                "facts", f"{one_rate:.0f}", "", f"{two_rate:.0f}", "", f"{one_rate / two_rate:.2f}"
            )
            console.print(table)
            await bare.close()


async def _until_answered(http: Http, path: str, began: float) -> float:
    while True:
        try:
            await http.get(path)
        except (OSError, asyncio.IncompleteReadError, RuntimeError):
            await asyncio.sleep(0.05)
        else:
            return time.perf_counter() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each row, twice")
    given = parser.parse_args()
    asyncio.run(main(given.images, given.seconds))
