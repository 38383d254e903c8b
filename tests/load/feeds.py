"""`just bench feeds`: many live feeds on one process, what each costs, and how late facts come.

The metadata service runs alone with a NATS server, both started for it. Memory is that of the
service's process before, with all feeds open, and after every fact went to all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from services.metadata.tests.samples import image_id, uploaded
from tests.conftest import nats_server
from tests.integration.metadata_process import MetadataProcess, metadata_process, registry

console = Console()
MB = 1e6


class Listener:
    """One open feed; `heard` has when each fact came, by its sequence."""

    def __init__(self) -> None:
        self.heard: dict[int, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self, port: int) -> None:
        """Connect, and wait until the feed begins."""
        reader, self._writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        self._writer.write(b"GET /metadata/events HTTP/1.1\r\nHost: bench\r\n\r\n")
        await reader.readuntil(b"retry: ")
        self._task = asyncio.create_task(self._listen(reader))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        sequence = 0
        async for line in reader:
            if line.startswith(b"id: "):
                sequence = int(line[4:])
            elif line.startswith(b"data: "):
                self.heard[sequence] = time.perf_counter()

    async def close(self) -> None:
        """Go away."""
        assert self._task is not None
        assert self._writer is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._writer.close()


async def measure(process: MetadataProcess, nats_url: str, feeds: int, facts: int) -> None:
    """Open the feeds, say the facts, print what it took."""
    at_rest = process.rss_bytes
    listeners = [Listener() for _ in range(feeds)]
    for listener in track(listeners, "opening", console=console, transient=True):
        await listener.open(process.port)
    opened = process.rss_bytes
    said: dict[int, float] = {}
    cpu = process.cpu_s
    async with registry(nats_url) as owner:
        for number in track(range(facts), "saying facts", console=console, transient=True):
            began = time.perf_counter()
            answer = await owner.bus.publish(uploaded(image_id(number)))
            said[answer.sequence] = began
            await asyncio.sleep(0.05)
        async with asyncio.timeout(120):
            while any(len(listener.heard) < facts for listener in listeners):
                await asyncio.sleep(0.05)
    late = sorted(
        listener.heard[sequence] - began
        for listener in listeners
        for sequence, began in said.items()
    )
    after, cpu = process.rss_bytes, process.cpu_s - cpu
    for listener in listeners:
        await listener.close()
    table = Table(title=f"{feeds} live feeds on one process, {facts} facts to each")
    for column in ("", "value"):
        table.add_column(column, justify="right")
    cuts = statistics.quantiles(late, n=100, method="inclusive")
    for name, value in (
        ("memory at rest, MB", f"{at_rest / MB:.0f}"),
        ("with all open, MB", f"{opened / MB:.0f}"),
        ("per feed, KB", f"{(opened - at_rest) / feeds / 1000:.0f}"),
        ("after all facts, MB", f"{after / MB:.0f}"),
        ("from publish to a feed, p50 ms", f"{cuts[49] * 1000:.0f}"),
        ("p99 ms", f"{cuts[98] * 1000:.0f}"),
        ("CPU of the service per fact, ms", f"{cpu / facts * 1000:.0f}"),
        ("facts missed", str(sum(len(one.heard) != facts for one in listeners))),
    ):
        table.add_row(name, value)
    console.print(table)


async def main() -> None:
    """Start the servers, measure, stop them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feeds", type=int, default=500)
    parser.add_argument("--facts", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, nats_server(Path(name)) as nats:
        url = f"nats://127.0.0.1:{nats.port}"
        async with registry(url):
            with metadata_process(url, Path(name) / "metadata", LOG_LEVEL="error") as process:
                await measure(process, url, options.feeds, options.facts)


if __name__ == "__main__":
    asyncio.run(main())
