"""`just bench flow`: facts handled per second per service, and from upload to ready step by step.

A backlog of facts is left to each service, in a process of its own as always, and the same to a
bare nats-py pull loop that only acknowledges. Then pictures are uploaded, 1, 8 and 32 at once,
and their traces tell where the time goes until metadata has everything.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx
import nats
import nats.errors
import numpy as np
from imagesystem import connection, ids, logs
from imagesystem.bus import api
from imagesystem.bus.jetstream import JetStreamBus
from imagesystem.events import Deleted, Fact, Uploaded
from imagesystem.metrics import Metrics
from imagesystem.permissions import inbox_prefix
from imagesystem.topology import CONSUMERS, SERVICES, Consumer
from local_stack.stack import Stack
from nats.aio.client import Client
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.collector import Collector, Span, collecting
from tests.load.upload import SIZE, percentiles, timed
from tests.pictures import picture

console = Console()
PUBLISHERS = 64
BARE_BATCH = 256
#: Spans are sent once a second.
UNTIL_SENT_S = 2.5


# --- facts per second


def uploaded(image_id: str) -> Uploaded:
    """Return what is said of a picture, of one that there is not."""
    return Uploaded(
        image_id=image_id,
        filename="photo.jpg",
        media_type="image/jpeg",
        size_bytes=260_000,
        width=1280,
        height=960,
        frames=1,
        sha256=secrets.token_hex(32),
        uploaded_at=ids.now(),
        tags=["bench"],
    )


def deleted(image_id: str) -> Deleted:
    """Return a tombstone."""
    return Deleted(image_id=image_id, reason="bench", deleted_at=ids.now())


class Backlog:
    """Facts left to a durable while its service is held."""

    def __init__(self, stack: Stack, count: int) -> None:
        self.stack = stack
        self.count = count
        self.clients: dict[str, Client] = {}

    async def client(self, service: str) -> Client:
        """Return a connection as the user of `service`."""
        if service not in self.clients:
            url = self.stack.nats_url(service)
            self.clients[service] = await connection.connect(url, service)
        return self.clients[service]

    async def say(self, fact: Callable[[str], Fact]) -> None:
        """Publish facts about as many images."""
        bus = JetStreamBus(await self.client("registry"), "bench", Metrics())
        left = [ids.image_id(secrets.token_bytes(16)) for _ in range(self.count)]

        async def publish() -> None:
            while left:
                await bus.publish(fact(left.pop()))

        await asyncio.gather(*(publish() for _ in range(PUBLISHERS)))

    async def outstanding(self, consumer: Consumer) -> int:
        """Return how many messages of a durable are not acknowledged."""
        client = await self.client(consumer.service)
        info = await api.api_call(client, f"CONSUMER.INFO.{consumer.stream}.{consumer.name}")
        return int(info["num_pending"]) + int(info["num_ack_pending"])

    async def bare(self, consumer: Consumer) -> float:
        """Return messages a second of a loop that fetches and acknowledges, and no more."""
        service = consumer.service
        prefix = inbox_prefix(service).encode()
        client = await nats.connect(self.stack.nats_url(service), inbox_prefix=prefix)
        pull = await client.jetstream().pull_subscribe_bind(
            consumer=consumer.name, stream=consumer.stream
        )
        handled, wanted = 0, await self.outstanding(consumer)
        started = time.perf_counter()
        while handled < wanted:
            for message in await pull.fetch(min(BARE_BATCH, wanted - handled), timeout=5):
                await message.ack()
                handled += 1
        await client.flush()
        seconds = time.perf_counter() - started
        await client.close()
        return handled / seconds

    async def drained(self, consumer: Consumer) -> tuple[float, float]:
        """Start the service; return messages a second from its first to its last, and CPU.

        That is milliseconds for each message, of the service's own process.
        """
        before = await self.outstanding(consumer)
        resuming = asyncio.create_task(self.stack.resume(consumer.service))
        first, left, began, used = before, before, 0.0, 0.0
        while left:
            left = await self.outstanding(consumer)
            if not began and left < before:
                first, began, used = left, time.perf_counter(), self.cpu_seconds(consumer)
            await asyncio.sleep(0.005)
        rate = first / (time.perf_counter() - began)
        spent = (self.cpu_seconds(consumer) - used) / first
        await resuming
        return rate, spent * 1000

    def cpu_seconds(self, consumer: Consumer) -> float:
        """Return the CPU time that the process of a durable's service has taken."""
        pid = self.stack.parts[consumer.service].pid
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def close(self) -> None:
        """Close the connections."""
        for client in self.clients.values():
            await client.close()


async def facts_per_second(stack: Stack, http: httpx.AsyncClient, count: int) -> None:
    """Print what each service handles a second, and what a loop that does nothing does."""
    backlog = Backlog(stack, count)
    heard: tuple[tuple[str, Callable[[str], Fact]], ...] = (
        ("metadata-facts", uploaded),
        ("registry-deleted", deleted),
        ("image-deleted", deleted),
        ("augmentation-deleted", deleted),
    )
    table = Table(title=f"facts handled per second, a backlog of {count}")
    for column in ("durable", "facts", "service/s", "bare loop/s", "ratio", "CPU ms"):
        table.add_column(column, justify="left" if column in ("durable", "facts") else "right")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("facts", total=len(heard) + 1)
        # One at a time: the others would take its cores.
        for service in SERVICES:
            await stack.hold(service)
        for name, fact in heard:
            consumer = CONSUMERS[name]
            await backlog.say(fact)
            bare = await backlog.bare(consumer)
            await backlog.say(fact)
            rate, spent = await backlog.drained(consumer)
            await stack.hold(consumer.service)
            table.add_row(
                name,
                fact.__name__,
                f"{rate:.0f}",
                f"{bare:.0f}",
                f"{rate / bare:.2f}",
                f"{spent:.2f}",
            )
            progress.advance(task)
        # What it heard of pictures that there are not is the bare loop's; then it gets real ones.
        await stack.resume("registry")
        consumer = CONSUMERS["inference-uploaded"]
        bare = await backlog.bare(consumer)
        pictures = [picture(secrets.randbits(60), size=SIZE) for _ in range(max(10, count // 50))]
        for data in pictures:
            answer = await http.post("/registry/upload", files={"file": ("p.jpg", data)})
            assert answer.status_code == 201, answer.text
        rate, spent = await backlog.drained(consumer)
        table.add_row(
            consumer.name,
            f"{len(pictures)} pictures",
            f"{rate:.0f}",
            f"{bare:.0f}",
            f"{rate / bare:.3f}",
            f"{spent:.2f}",
        )
    console.print(table)
    await backlog.close()


# --- from upload to ready


class Trace:
    """The spans of one upload."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self.spans = spans

    def all(self, service: str, name: str) -> list[Span]:
        """Return the spans of a service whose names begin so."""
        return [
            span for span in self.spans if span.service == service and span.name.startswith(name)
        ]

    def seconds(self, service: str, name: str) -> float:
        """Return how long those lasted, together."""
        return sum(span.seconds for span in self.all(service, name))

    @property
    def whole(self) -> float:
        """Seconds from the first byte that the registry got until metadata had everything."""
        begin = min(span.start_ns for span in self.spans)
        return (self.last.end_ns - begin) / 1e9

    @property
    def last(self) -> Span:
        """The handling of the last answer."""
        return max(self.all("metadata", "handle"), key=lambda span: span.end_ns)

    def steps(self) -> dict[str, float]:
        """Return seconds for each step on the way, which come one after the other."""
        [heard] = self.all("inference", "handle images.v1.uploaded")
        [announced] = self.all("registry", "announce")
        looks = self.all("inference", "look")
        looked = sum(look.seconds for look in looks)
        inside = self.seconds("inference", "decode") + self.seconds("inference", "infer ")
        steps = {
            "receive": self.seconds("registry", "receive"),
            "validate": self.seconds("registry", "validate"),
            "look up": self.seconds("registry", "lookup"),
            "store": self.seconds("registry", "store"),
            "announce, deliver": (heard.start_ns - announced.start_ns) / 1e9,
            "plan": self.seconds("inference", "publish images.v1.planned"),
            "fetch": self.seconds("inference", "get originals"),
            "wait for a worker": max(0.0, looked - inside),
            "decode": self.seconds("inference", "decode"),
            "infer": self.seconds("inference", "infer "),
            "answer, deliver": max(
                0.0, (self.last.start_ns - max(look.end_ns for look in looks)) / 1e9
            ),
            "write": self.last.seconds,
        }
        return steps | {"else": max(0.0, self.whole - sum(steps.values()))}


async def upload_to_ready(http: httpx.AsyncClient, collector: Collector, count: int) -> None:
    """Print how long it takes until an upload is ready, and where that time goes."""
    table = Table(title=f"upload to ready, {count} pictures each")
    for column in ("at once", "p50 ms", "p99 ms", "pictures/s"):
        table.add_column(column, justify="right")
    shares: dict[int, Mapping[str, float]] = {}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("latency", total=3)
        for at_once in (1, 8, 32):
            traces: list[str] = []

            async def become_ready(data: bytes, traces: list[str] = traces) -> None:
                traces.append(trace := secrets.token_hex(16))
                answer = await http.post(
                    "/registry/upload",
                    files={"file": ("p.jpg", data)},
                    headers={"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"},
                )
                assert answer.status_code == 201, answer.text
                image_id = answer.json()["id"]
                ready = await http.get(f"/metadata/images/{image_id}?wait=ready&timeout=30")
                assert ready.json()["status"] == "ready", ready.text

            seeds = np.random.default_rng().integers(2**62, size=count)
            pictures = [picture(int(seed), size=SIZE) for seed in seeds]
            total, each = await timed(become_ready, pictures, at_once)
            table.add_row(str(at_once), *percentiles(each), f"{count / total:.1f}")
            await asyncio.sleep(UNTIL_SENT_S)
            seen = [Trace(collector.trace(trace)) for trace in traces]
            steps = [trace.steps() for trace in seen]
            outside = statistics.fmean(each) - statistics.fmean(trace.whole for trace in seen)
            shares[at_once] = {
                "client, ingress": max(0.0, outside),
                **{name: statistics.fmean(step[name] for step in steps) for name in steps[0]},
            }
            progress.advance(task)
    console.print(table)
    _print_shares(shares)


def _print_shares(shares: Mapping[int, Mapping[str, float]]) -> None:
    table = Table(title="where the time goes: mean milliseconds, and the share of the whole")
    table.add_column("step")
    for at_once in shares:
        table.add_column(f"{at_once} at once", justify="right")
    for name in next(iter(shares.values())):
        cells = []
        for steps in shares.values():
            whole = sum(steps.values())
            cells.append(f"{steps[name] * 1000:.1f} ({steps[name] / whole:.0%})")
        table.add_row(name, *cells)
    console.print(table)


async def main() -> None:
    """Start a stack and a collector, measure, stop them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facts", type=int, default=3000, help="facts of a backlog")
    parser.add_argument("--count", type=int, default=100, help="pictures a round")
    parser.add_argument("--tasks", default="analysis", help="tasks run on every upload")
    options = parser.parse_args()
    logs.configure("bench", level="error")
    with tempfile.TemporaryDirectory() as folder, collecting() as collector:
        environ = os.environ | {"OTLP_ENDPOINT": collector.url, "TASKS": options.tasks}
        async with (
            Stack(data_dir=Path(folder), port=0, nats_port=0, environ=environ) as stack,
            httpx.AsyncClient(base_url=stack.url, timeout=60) as http,
        ):
            await upload_to_ready(http, collector, options.count)
            await facts_per_second(stack, http, options.facts)


if __name__ == "__main__":
    asyncio.run(main())
