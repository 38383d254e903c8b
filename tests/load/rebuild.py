"""`just bench rebuild`: the read model rebuilt from the log, against a consumer that does nothing.

Facts about so many images go straight into NATS; the metadata service, a process of its own,
fills an empty MongoDB from them and then rebuilds what it has, with the proof that it is the same.
Between the two, a bare push consumer reads the same log and throws it away.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from imagesystem import connection, ids
from imagesystem.bus import api
from imagesystem.bus.messages import headers_for
from imagesystem.bus.provisioning import consumer_config
from imagesystem.events import Fact, encode
from imagesystem.topology import CONSUMERS
from nats.aio.client import Client
from nats.aio.msg import Msg
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from services.metadata.tests.samples import annotated, image_id, inferred, planned, uploaded
from tests.conftest import BINARIES, Server, free_port, mongo_server, nats_server

console = Console()
#: Publishes whose confirmation has not come yet.
WINDOW = 1000
FACTS = CONSUMERS["metadata-facts"]


class Speaker:
    """Publishes without waiting for each confirmation, up to a window of them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._said = self._confirmed = 0
        self._news = asyncio.Event()

    async def open(self) -> None:
        """Listen for confirmations."""
        await self._client.subscribe(self._inbox, cb=self._confirm, pending_msgs_limit=0)

    async def _confirm(self, message: Msg) -> None:
        if b'"error"' in message.data:
            raise RuntimeError(message.data.decode())
        self._confirmed += 1
        self._news.set()

    async def say(self, fact: Fact) -> None:
        """Publish a fact."""
        headers = headers_for(fact.subject, ids.new_id(), "bench")
        await self._client.publish(fact.subject, encode(fact), reply=self._inbox, headers=headers)
        self._said += 1
        await self._until(WINDOW)

    async def settle(self) -> None:
        """Wait for all confirmations."""
        await self._until(0)

    async def _until(self, outstanding: int) -> None:
        while self._said - self._confirmed > outstanding:
            self._news.clear()
            async with asyncio.timeout(30):
                await self._news.wait()


async def fill(client: Client, images: int) -> int:
    """Say the facts of so many images: uploads run ahead of what is found in them."""
    speaker, ahead, facts = Speaker(client), 50, 0
    await speaker.open()
    with Progress(console=console) as progress:
        task = progress.add_task("saying facts", total=images)
        for number in range(1, images + ahead + 1):
            said: list[Fact] = []
            if number <= images:
                said = [uploaded(image_id(number), minutes=number), planned(image_id(number))]
            if number > ahead:
                name = image_id(number - ahead)
                said.append(inferred(name))
                said += [annotated(name)] * (number % 10 == 0)
            for fact in said:
                await speaker.say(fact)
            facts += len(said)
            progress.update(task, completed=number - ahead)
    await speaker.settle()
    return facts


async def bare(client: Client, facts: int) -> tuple[float, float]:
    """Return facts per second of an ordered consumer that drops them, and CPU seconds."""
    inbox, done, seen = client.new_inbox(), asyncio.Event(), 0

    async def count(message: Msg) -> None:
        nonlocal seen
        if (message.headers or {}).get("Status"):  # flow control, or a heartbeat
            if message.reply:
                await client.publish(message.reply)
            return
        seen += 1
        if seen == facts:
            done.set()

    subscription = await client.subscribe(
        inbox, cb=count, pending_msgs_limit=0, pending_bytes_limit=0
    )
    config = {
        "name": "bare",
        "deliver_subject": inbox,
        "ack_policy": "none",
        "mem_storage": True,
        "flow_control": True,
        "idle_heartbeat": 5_000_000_000,
        "inactive_threshold": 5_000_000_000,
        "filter_subjects": ["images.v1.>"],
    }
    started, computed = time.perf_counter(), time.process_time()
    await api.api_call(
        client, "CONSUMER.CREATE.IMAGES.bare", {"stream_name": "IMAGES", "config": config}
    )
    await done.wait()
    seconds = time.perf_counter() - started
    await subscription.unsubscribe()
    return facts / seconds, time.process_time() - computed


@contextmanager
def service(
    nats: Server, mongodb: Server, folder: Path, **more: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run the metadata service, with `more` settings; yields its URL and its process."""
    port = free_port()
    environment = os.environ | {
        "NATS_URL": f"nats://127.0.0.1:{nats.port}",
        "MONGODB_URL": f"mongodb://127.0.0.1:{mongodb.port}",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": str(port),
        **more,
    }
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [str(BINARIES / "metadata-service")], env=environment, stdout=log, stderr=log
        )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait(30)


def memory_mb(pid: int) -> tuple[float, float]:
    """Return the resident memory now and at its highest, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = dict(line.split(":", 1) for line in status.splitlines())
    now, peak = (int(found[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, peak


def processor_seconds(pid: int) -> float:
    """Return the seconds that a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def watched(http: httpx.AsyncClient, path: str, title: str, pid: int) -> dict[str, Any]:
    """Return a rebuild once it has ended, with what its process computed for it."""
    before = processor_seconds(pid)
    with Progress(console=console) as progress:
        task = progress.add_task(title, total=None)
        while True:
            found: dict[str, Any] = (await http.get(path)).json()
            total = found["facts"] + found["pending"] or None
            progress.update(
                task,
                total=total,
                completed=found["facts"],
                description=f"{title}: {found['phase']}",
            )
            if found["ended_at"] is not None:
                return found | {"cpu": processor_seconds(pid) - before}
            await asyncio.sleep(0.2)


@asynccontextmanager
async def ready(url: str, process: subprocess.Popen[bytes]) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client once the service answers."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        while True:
            assert process.poll() is None, "the service has ended"
            try:
                await http.get("/metadata/health/live")
            except httpx.TransportError:
                await asyncio.sleep(0.1)
            else:
                yield http
                return


async def main(images: int) -> None:
    """Run it and print a table."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        nats, mongodb = (
            stack.enter_context(serve(_made(folder / name)))
            for name, serve in (("nats", nats_server), ("mongo", mongo_server))
        )
        client = await connection.connect(f"nats://127.0.0.1:{nats.port}", "registry")
        await connection.provision(client, "registry")
        facts = await fill(client, images)
        # What was said so far is not for the consumer, which would do the same work beside.
        config = consumer_config(FACTS) | {"deliver_policy": "new"}
        await api.api_call(
            client,
            f"CONSUMER.DURABLE.CREATE.IMAGES.{FACTS.name}",
            {"stream_name": "IMAGES", "config": config},
        )
        url, process = stack.enter_context(service(nats, mongodb, folder))
        async with ready(url, process) as http:
            start, _ = memory_mb(process.pid)
            while not (found := (await http.get("/metadata/rebuilds")).json().get("items")):
                await asyncio.sleep(0.05)
            runs = {
                "an empty MongoDB": await watched(http, _path(found[0]), "filling", process.pid)
            }
            idle = await bare(client, facts)
            again = (await http.post("/metadata/rebuilds", json={})).json()
            runs["the same again"] = await watched(http, _path(again), "rebuilding", process.pid)
            now, peak = memory_mb(process.pid)
        await client.close()
    report(runs, idle, images=images, facts=facts)
    console.print(f"memory of the service: {start:.0f} MB at first, {peak:.0f} peak, {now:.0f} now")


def report(
    runs: dict[str, dict[str, Any]], idle: tuple[float, float], *, images: int, facts: int
) -> None:
    """Print what came of it."""
    table = Table(title=f"{facts} facts about {images} images")
    for name in ("", "facts/s", "of bare", "all of it s", "CPU s", "documents", "same"):
        table.add_column(name, justify="right")
    fastest, computed = idle
    table.add_row("bare consumer", f"{fastest:.0f}", "100 %", "", f"{computed:.1f}")
    for name, found in runs.items():
        rate = found["facts"] / found["load_seconds"]
        whole = _moment(found["ended_at"]) - _moment(found["requested_at"])
        documents = str(found["after"]["documents"])
        same = str(found["same"])
        table.add_row(
            name,
            f"{rate:.0f}",
            f"{rate / fastest:.0%}",
            f"{whole:.1f}",
            f"{found['cpu']:.1f}",
            documents,
            same,
        )
    console.print(table)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _path(rebuild: dict[str, Any]) -> str:
    return f"/metadata/rebuilds/{rebuild['id']}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    asyncio.run(main(parser.parse_args().images))
