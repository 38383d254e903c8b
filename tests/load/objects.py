"""`just bench objects`: this client against nats-py's object store, on one server, in one run.

Each size is written and read one at a time and 16 at once, the two clients taking turns, round
by round, so that whatever else the machine does hits both. It reports and asserts nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import nats
import uvloop
from imagesystem.bus import provisioning
from imagesystem.connection import connect
from imagesystem.objects.jetstream import JetStreamBucket, stream_config
from imagesystem.topology import Bucket
from nats.js.object_store import ObjectStore
from rich.console import Console
from rich.table import Table

from tests.conftest import nats_server

#: Bytes of an object, and how many are written and read in one turn.
SIZES = {"50 KB": (50_000, 64), "300 KB": (300_000, 48), "3 MB": (3_000_000, 16)}
TOGETHER = (1, 16)
GOALS = {
    ("300 KB", 16, "put"): 1.5,
    ("300 KB", 16, "get"): 1.8,
    ("3 MB", 1, "get"): 10.0,
}


class Store(Protocol):
    async def put(self, name: str, data: bytes) -> None: ...
    async def get(self, name: str) -> bytes: ...


class Ours:
    def __init__(self, bucket: JetStreamBucket) -> None:
        self.bucket = bucket

    async def put(self, name: str, data: bytes) -> None:
        await self.bucket.put(name, data)

    async def get(self, name: str) -> bytes:
        return (await self.bucket.get(name))[1]


class Theirs:
    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    async def put(self, name: str, data: bytes) -> None:
        await self.store.put(name, data)

    async def get(self, name: str) -> bytes:
        return (await self.store.get(name)).data or b""


async def timed(names: list[str], together: int, call: Callable[[str], Awaitable[object]]) -> float:
    """Return the seconds that it takes to `call` for every name, so many at once."""
    left = iter(names)

    async def work() -> None:
        for name in left:
            await call(name)

    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(together)))
    return time.perf_counter() - start


async def turn(
    store: Store, prefix: str, data: bytes, count: int, together: int
) -> dict[str, float]:
    """Write and read `count` objects; return objects per second of each."""
    names = [f"{prefix}-{number}" for number in range(count)]

    async def get(name: str) -> None:
        if await store.get(name) != data:
            raise RuntimeError(f"{name} came back changed")

    put_s = await timed(names, together, lambda name: store.put(name, data))
    get_s = await timed(names, together, get)
    return {"put": count / put_s, "get": count / get_s}


async def compare(url: str, rounds: int) -> dict[tuple[str, int, str], tuple[float, float]]:
    """Return the median rate of both clients: ours, theirs."""
    client = await connect(url, "bench")
    plain = await nats.connect(url)
    for name in ("ours", "theirs"):
        config = Bucket(name=name, owner="registry", description="benchmark")
        await provisioning.ensure_stream(client, stream_config(config))
    stores: dict[str, Store] = {
        "ours": Ours(JetStreamBucket(client, "ours")),
        "theirs": Theirs(await plain.jetstream().object_store("theirs")),
    }
    rates: dict[tuple[str, str, int, str], list[float]] = {}
    for number in range(-1, rounds):  # the first one warms up
        for label, (size, count) in SIZES.items():
            data = os.urandom(size)
            for together in TOGETHER:
                order = list(stores) if number % 2 else list(reversed(stores))
                for who in order:
                    prefix = f"{number}-{size}-{together}"
                    for what, rate in (
                        await turn(stores[who], prefix, data, count, together)
                    ).items():
                        if number >= 0:
                            rates.setdefault((who, label, together, what), []).append(rate)
        for name in stores:
            await provisioning.api.api_call(client, f"STREAM.PURGE.OBJ_{name}")
    await plain.close()
    await client.close()
    return {
        key[1:]: (statistics.median(found), statistics.median(rates["theirs", *key[1:]]))
        for key, found in rates.items()
        if key[0] == "ours"
    }


def table(results: dict[tuple[str, int, str], tuple[float, float]]) -> Table:
    shown = Table(title="objects per second, median of the rounds")
    for column in ("size", "at once", "what", "this client", "nats-py", "ratio", "goal"):
        shown.add_column(column, justify="left" if column in {"size", "what"} else "right")
    for (label, together, what), (ours, theirs) in results.items():
        goal = GOALS.get((label, together, what))
        ratio = ours / theirs
        colour = "" if goal is None else ("[green]" if ratio >= goal else "[red]")
        shown.add_row(
            label,
            str(together),
            what,
            f"{ours:,.0f}",
            f"{theirs:,.0f}",
            f"{colour}{ratio:.2f}x",
            "" if goal is None else f"≥ {goal:g}x",
        )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="machine-readable, one line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, nats_server(Path(folder)) as server:
        url = f"nats://127.0.0.1:{server.port}"
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            results = runner.run(compare(url, options.rounds))
    if options.json:
        rows = [
            {"size": s, "at_once": n, "what": w, "ours": ours, "theirs": theirs}
            for (s, n, w), (ours, theirs) in results.items()
        ]
        print(json.dumps(rows))
    else:
        Console().print(table(results))


if __name__ == "__main__":
    main()
