"""`just bench upload`: uploads through the one port against raw object puts of the same bytes.

Both run interleaved on one stack, started for it on free ports. Then: how long from the first
byte of an upload until its analysis is announced, at 1, 8 and 32 at once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import nats
import numpy as np
from imagesystem import connection, ids
from imagesystem.objects.jetstream import JetStreamBucket
from local_stack.stack import Stack
from nats.aio.msg import Msg
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.pictures import picture

console = Console()
SIZE = (1280, 960)


class Sender:
    """Uploads forms on connections that are kept: what a lean client costs, and no more.

    (httpx takes longer to build a form than the registry takes to store it.)
    """

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._where = (where.hostname, where.port)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def upload(self, data: bytes) -> int:
        """Upload a picture; return the status."""
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="p.jpg"\r\n\r\n'
        tail = b"\r\n--b--\r\n"
        request = (
            "POST /registry/upload HTTP/1.1\r\nHost: bench\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n"
            f"Content-Length: {len(head) + len(data) + len(tail)}\r\n\r\n"
        )
        reader, writer = self._idle.pop() if self._idle else await self._connect()
        writer.writelines((request.encode() + head, data, tail))
        answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(answer.partition("content-length:")[2].partition("\r\n")[0])
        await reader.readexactly(length)
        self._idle.append((reader, writer))
        return int(answer.split(" ", 2)[1])

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self._where)

    async def close(self) -> None:
        """Close all connections."""
        for _, writer in self._idle:
            writer.close()
            await writer.wait_closed()


def percentiles(seconds: list[float]) -> tuple[str, str]:
    """Return p50 and p99 in milliseconds, as text."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return f"{cuts[49] * 1000:.0f}", f"{cuts[98] * 1000:.0f}"


async def timed(
    work: Callable[[bytes], Awaitable[None]], pictures: list[bytes], at_once: int
) -> tuple[float, list[float]]:
    """Do `work` for every picture, `at_once` at a time: total seconds, and seconds for each."""
    queue, each = list(pictures), []

    async def worker() -> None:
        while queue:
            data = queue.pop()
            started = time.perf_counter()
            await work(data)
            each.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return time.perf_counter() - started, each


async def stage_seconds(http: httpx.AsyncClient) -> dict[str, float]:
    """Return the registry's seconds per stage of all uploads so far."""
    text = (await http.get("/registry/metrics")).text
    return {
        sample.labels["stage"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "upload_stage_seconds_sum"
    }


async def throughput(stack: Stack, http: httpx.AsyncClient, count: int, rounds: int) -> None:
    """Print uploads per second against raw puts per second, and where an upload's time goes."""
    client = await connection.connect(stack.nats_url("registry"), "registry")
    bucket = JetStreamBucket(client, "originals")
    rng = np.random.default_rng()

    async def put(data: bytes) -> None:
        await bucket.put(f"bench-{ids.new_id()}", data)

    sender = Sender(stack.url)

    async def upload(data: bytes) -> None:
        assert await sender.upload(data) == 201

    table = Table(title=f"uploads against raw object puts of the same bytes, {count} a round")
    for column in ("at once", "put/s", "upload/s", "ratio", "upload p50 ms", "p99 ms"):
        table.add_column(column, justify="right")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("throughput", total=3 * rounds)
        for at_once in (1, 8, 32):
            puts, uploads, latencies = 0.0, 0.0, []
            for _ in range(rounds):
                pictures = [
                    picture(int(seed), size=SIZE) for seed in rng.integers(2**62, size=count)
                ]
                puts += (await timed(put, pictures, at_once))[0]
                seconds, each = await timed(upload, pictures, at_once)
                uploads += seconds
                latencies += each
                await drained(http)
                progress.advance(task)
            total = count * rounds
            table.add_row(
                str(at_once),
                f"{total / puts:.0f}",
                f"{total / uploads:.0f}",
                f"{puts / uploads:.2f}",
                *percentiles(latencies),
            )
    console.print(table)
    stages = await stage_seconds(http)
    whole = sum(stages.values())
    shares = ", ".join(f"{name} {value / whole:.0%}" for name, value in stages.items())
    console.print(f"where an upload's time goes inside the registry: {shares}")
    await sender.close()
    await client.close()


async def drained(http: httpx.AsyncClient) -> None:
    """Return once nothing waits for its analysis, so that the next round starts level."""
    while (await http.get("/metadata/images/list?status=pending&limit=1")).json()["items"]:
        await asyncio.sleep(0.2)


async def latency(stack: Stack, http: httpx.AsyncClient, count: int) -> None:
    """Print the time from upload to the announced analysis."""
    subscriber = await nats.connect(stack.subscriber_url)
    announced: dict[str, asyncio.Future[float]] = {}

    async def hear(message: Msg) -> None:
        future = announced.get(message.subject.split(".")[2])
        if future is not None and not future.done():
            future.set_result(time.perf_counter())

    await subscriber.subscribe("images.v1.*.inferred.analysis", cb=hear)
    await subscriber.flush()
    rng = np.random.default_rng()

    async def analyse(data: bytes) -> None:
        future = announced[ids.image_id(data)] = asyncio.get_running_loop().create_future()
        answer = await http.post("/registry/upload", files={"file": ("p.jpg", data)})
        assert answer.status_code == 201, answer.text
        await future

    table = Table(title=f"upload to announced analysis, {count} pictures each")
    for column in ("at once", "p50 ms", "p99 ms", "pictures/s"):
        table.add_column(column, justify="right")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("latency", total=3)
        for at_once in (1, 8, 32):
            pictures = [picture(int(seed), size=SIZE) for seed in rng.integers(2**62, size=count)]
            total, each = await timed(analyse, pictures, at_once)
            table.add_row(str(at_once), *percentiles(each), f"{count / total:.1f}")
            progress.advance(task)
    console.print(table)
    await subscriber.close()


async def main() -> None:
    """Start a stack, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="pictures a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--tasks", default="analysis", help="what inference is to plan, comma-separated"
    )
    options = parser.parse_args()
    environ = os.environ | {"TASKS": options.tasks}
    with tempfile.TemporaryDirectory() as folder:
        async with (
            Stack(data_dir=Path(folder), port=0, nats_port=0, environ=environ) as stack,
            httpx.AsyncClient(base_url=stack.url, timeout=60) as http,
        ):
            size = len(picture(1, size=SIZE))
            console.print(f"JPEG {SIZE[0]}x{SIZE[1]}, {size / 1000:.0f} KB each")
            await throughput(stack, http, options.count, options.rounds)
            await latency(stack, http, options.count)


if __name__ == "__main__":
    asyncio.run(main())
