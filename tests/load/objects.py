"""`just bench objects`: this client against nats-py's object store, on one server, in one run.

This client is the bucket on the NATS client that services use.

Each size is written and read one at a time and 16 at once, the two clients taking turns, round
by round, so that whatever else the machine does hits both. It reports and asserts nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Protocol

import nats
import uvloop
from imagesystem.bus import provisioning
from imagesystem.objects.client import WireClient
from imagesystem.objects.jetstream import JetStreamBucket, stream_config
from imagesystem.topology import Bucket
from nats.aio.client import Client
from nats.js.object_store import ObjectStore
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.conftest import nats_server

#: Bytes of an object, and how many are written and read in one turn.
SIZES = {"50 KB": (50_000, 96), "300 KB": (300_000, 64), "3 MB": (3_000_000, 16)}
TOGETHER = (1, 16)
GOALS = {
    ("300 KB", 1, "put"): 1.5,
    ("300 KB", 1, "get"): 1.8,
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


@asynccontextmanager
async def buckets(ours: Client, theirs: Client) -> AsyncIterator[dict[str, Store]]:
    """Make fresh buckets: the consumers that nats-py's reads leave behind slow the next down."""
    for name in ("ours", "theirs"):
        config = Bucket(name=name, owner="registry", description="benchmark")
        await provisioning.api.api_call(ours, f"STREAM.CREATE.OBJ_{name}", stream_config(config))
    yield {
        "ours": Ours(JetStreamBucket(ours, "ours")),
        "theirs": Theirs(await theirs.jetstream().object_store("theirs")),
    }
    for name in ("ours", "theirs"):
        await provisioning.api.api_call(ours, f"STREAM.DELETE.OBJ_{name}")


Key = tuple[str, int, str]
Rates = dict[Key, dict[str, list[float]]]


async def compare(url: str, rounds: int, progress: Progress) -> Rates:
    """Return objects per second by size, how many at once and what, of both in each round."""
    ours, theirs = WireClient(), await nats.connect(url)
    await ours.connect(url)
    rates: Rates = {}
    task = progress.add_task("rounds", total=rounds + 1)
    for number in range(rounds + 1):  # the first one warms up
        for label, (size, count) in SIZES.items():
            data = os.urandom(size)
            for together in TOGETHER:
                async with buckets(ours, theirs) as stores:
                    for who in sorted(stores, reverse=bool(number % 2)):
                        found = await turn(stores[who], str(number), data, count, together)
                        for what, rate in found.items() if number else ():
                            both = rates.setdefault((label, together, what), {})
                            both.setdefault(who, []).append(rate)
        progress.advance(task)
    await theirs.close()
    await ours.close()
    return rates


def summary(found: dict[str, list[float]]) -> tuple[float, float, float]:
    """Return the median rates of both and the median of the rounds' ratios."""
    ratios = [ours / theirs for ours, theirs in zip(found["ours"], found["theirs"], strict=True)]
    return median(found["ours"]), median(found["theirs"]), median(ratios)


def table(rates: Rates) -> Table:
    shown = Table(title="objects per second, medians of the rounds")
    for column in ("size", "at once", "what", "this client", "nats-py", "ratio", "goal"):
        shown.add_column(column, justify="left" if column in {"size", "what"} else "right")
    for (label, together, what), found in rates.items():
        ours, theirs, ratio = summary(found)
        goal = GOALS.get((label, together, what))
        colour = "" if goal is None else ("[green]" if ratio >= goal else "[red]")
        shown.add_row(
            label,
            str(together),
            what,
            f"{ours:,.0f}",
            f"{theirs:,.0f}",
            f"{colour}{ratio:.2f}x",
            "" if goal is None else f"{goal:g}x",
        )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="machine-readable, one line")
    parser.add_argument("--store", help="folder of the server's files (default: in memory)")
    options = parser.parse_args()
    # Clients are compared, not disks.
    store = options.store or ("/dev/shm" if Path("/dev/shm").is_dir() else None)
    console = Console(stderr=True)
    with (
        tempfile.TemporaryDirectory(dir=store) as folder,
        nats_server(Path(folder)) as server,
        Progress(console=console, transient=True) as progress,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        url = f"nats://127.0.0.1:{server.port}"
        rates = runner.run(compare(url, options.rounds, progress))
    if options.json:
        rows = [
            {"size": key[0], "at_once": key[1], "what": key[2], "ratio": summary(found)[2]} | found
            for key, found in rates.items()
        ]
        print(json.dumps(rows))
    else:
        Console().print(table(rates))


if __name__ == "__main__":
    main()
