"""`just bench image`: renditions per second against thumbor and IPX, in one run.

All servers run at the same time on loopback, one process each (with its threads or workers);
every case is asked of each of them in turn, round after round. A distinct URL is asked for once.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import msgspec
import numpy as np
from local_stack.stack import Stack
from PIL import Image, ImageFilter
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.load.clients import Client
from tests.load.image_servers import Case, Server, ours, peers
from tests.pictures import sample

console = Console(width=140)
SIZE = (1600, 1200)
SAMPLES = ("coffee.png", "chelsea.png", "astronaut.png", "rocket.jpg", "hubble_deep_field.jpg")

#: How the sources are encoded, by file extension.
SOURCES: dict[str, dict[str, int]] = {
    "jpg": {"quality": 88},
    "webp": {"quality": 88},
    "png": {"compress_level": 6},
}

#: The rows of the table: name, case, and the peers that take part.
CASES: dict[str, Case] = {
    "jpeg→jpeg": Case(source="jpg", format="jpeg", quality=80),
    "jpeg→webp": Case(source="jpg", format="webp", quality=80),
    "jpeg→png": Case(source="jpg", format="png", quality=0),
    "jpeg→avif": Case(source="jpg", format="avif", quality=60),
    "png→webp": Case(source="png", format="webp", quality=80),
    "webp→jpeg": Case(source="webp", format="jpeg", quality=80),
}
ORIGINAL = Case(source="jpg", format=None, quality=0)


class Measured(msgspec.Struct):
    """What one server did in one case, over all rounds."""

    requests: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    rss_mb: float = 0.0
    latencies: list[float] = []
    sizes: list[int] = []
    errors_db: list[float] = []

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def make_sources(folder: Path, count: int, forms: Sequence[str]) -> list[str]:
    """Write `count` distinct photograph-like pictures in each form; return their stems."""
    rng = np.random.default_rng(7)
    photographs = [Image.open(io.BytesIO(sample(name))).convert("RGB") for name in SAMPLES]
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        width = int(photograph.width * rng.uniform(0.7, 0.95))
        height = min(photograph.height, width * SIZE[1] // SIZE[0])
        left = int(rng.integers(0, photograph.width - width + 1))
        top = int(rng.integers(0, photograph.height - height + 1))
        crop = photograph.resize(
            SIZE, Image.Resampling.LANCZOS, (left, top, left + width, top + height)
        )
        # What enlarging lacks: fine texture and grain, as a camera's picture has them.
        grain = Image.effect_noise(SIZE, 12).filter(ImageFilter.GaussianBlur(0.7))
        values = (
            np.asarray(crop).astype(np.int16) + np.asarray(grain)[..., None].astype(np.int16) - 128
        )
        picture = Image.fromarray(values.clip(0, 255).astype(np.uint8))
        for form in forms:
            picture.save(folder / f"{number:03}.{form}", **SOURCES[form])
    return [f"{number:03}" for number in range(count)]


async def upload(stack: Stack, files: Mapping[str, bytes]) -> dict[str, str]:
    """Upload every file; return the image ids by file name."""
    found = {}
    async with httpx.AsyncClient(base_url=stack.url, timeout=60) as http:
        for name, data in files.items():
            answer = await http.post("/registry/upload", files={"file": (name, data)})
            answer.raise_for_status()
            found[name] = answer.json()["id"]
    return found


async def ask(server: Server, paths: Sequence[str], at_once: int, into: Measured) -> list[bytes]:
    """Ask for every path, `at_once` at a time; return the bodies."""
    client, bodies = Client(server.port), [b""] * len(paths)
    queue = list(enumerate(paths))

    async def worker() -> None:
        while queue:
            number, path = queue.pop()
            started = time.perf_counter()
            bodies[number] = await client.get(path)
            into.latencies.append(time.perf_counter() - started)

    cpu, started = server.cpu_s(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    into.seconds += time.perf_counter() - started
    into.cpu_s += server.cpu_s() - cpu
    into.rss_mb = max(into.rss_mb, server.rss_mb())
    into.requests += len(paths)
    client.close()
    return bodies


def psnr(body: bytes, source: Path) -> float:
    """Return the PSNR in dB against the source reduced by Lanczos from all of its pixels."""
    picture = Image.open(io.BytesIO(body)).convert("RGB")
    reference = Image.open(source).convert("RGB").resize(picture.size, Image.Resampling.LANCZOS)
    difference = np.asarray(picture).astype(float) - np.asarray(reference).astype(float)
    return float(10 * np.log10(255**2 / max(1e-9, (difference**2).mean())))


async def renditions(
    servers: list[Server], folder: Path, stems: list[str], rounds: int, names: list[str]
) -> None:
    """Print the table of distinct renditions."""
    table = Table(title=f"distinct renditions, {len(stems)} a round, 8 at once, {rounds} rounds")
    for column in ("case", "server", "req/s", "p50 ms", "p99 ms", "CPU ms", "RSS MB", "KiB", "dB"):
        table.add_column(column, justify="left" if column in ("case", "server") else "right")
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("renditions", total=len(names) * rounds * len(servers))
        for name in names:
            case, measured = CASES[name], {server.name: Measured() for server in servers}
            for number in range(rounds):
                # A round asks for a size of its own: URLs that no cache has seen.
                asked = msgspec.structs.replace(case, side=case.side - number)
                for server in servers:
                    files = [f"{stem}.{case.source}" for stem in stems]
                    paths = [server.path(file, asked) for file in files]
                    bodies = await ask(server, paths, 8, measured[server.name])
                    measured[server.name].sizes += map(len, bodies)
                    if number == 0:
                        measured[server.name].errors_db += [
                            psnr(body, folder / file)
                            for body, file in zip(bodies[:12], files[:12], strict=True)
                        ]
                    progress.advance(task)
            for server_name, each in measured.items():
                table.add_row(name, server_name, *_row(each))
            table.add_section()
    console.print(table)


def _row(measured: Measured) -> list[str]:
    cuts = statistics.quantiles(measured.latencies, n=100, method="inclusive")
    return [
        f"{measured.rate:.0f}",
        f"{cuts[49] * 1000:.1f}",
        f"{cuts[98] * 1000:.1f}",
        f"{measured.cpu_s / measured.requests * 1000:.2f}",
        f"{measured.rss_mb:.0f}",
        f"{statistics.mean(measured.sizes) / 1024:.1f}" if measured.sizes else "",
        f"{statistics.mean(measured.errors_db):.2f}" if measured.errors_db else "",
    ]


async def repeated(title: str, servers: list[Server], file: str, case: Case, count: int) -> None:
    """Print the table of one URL asked for again and again."""
    table = Table(title=f"{title}, {count} a round, 8 at once, 3 rounds")
    for column in ("server", "req/s", "p50 ms", "p99 ms", "CPU ms", "RSS MB"):
        table.add_column(column, justify="left" if column == "server" else "right")
    measured = {server.name: Measured() for server in servers}
    for server in servers:
        await ask(server, [server.path(file, case)] * 8, 1, Measured())
    for _ in range(3):
        for server in servers:
            await ask(server, [server.path(file, case)] * count, 8, measured[server.name])
    for name, each in measured.items():
        table.add_row(name, *_row(each)[:5])
    console.print(table)


async def run(count: int, rounds: int, names: list[str]) -> None:
    """Start everything, make the pictures, print the tables."""
    async with AsyncExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = base / "pictures"
        folder.mkdir()
        forms = sorted({"jpg", *(CASES[name].source for name in names)})
        console.print(f"making {count} pictures in {', '.join(forms)}")
        stems = make_sources(folder, count, forms)
        system = await stack.enter_async_context(Stack(data_dir=base / "data", port=0, nats_port=0))
        files = {path.name: path.read_bytes() for path in sorted(folder.glob("*"))}
        own = ours(system, await upload(system, files))
        for part in ("inference", "metadata", "augmentation"):
            await system.hold(part)  # what is measured here is the image service
        others = await stack.enter_async_context(peers(folder))
        renderers = [server for server in others if server.name != "nginx"]
        await renditions([own[0], *renderers], folder, stems, rounds, names)
        hot = CASES["jpeg→jpeg"]
        await repeated("a hot URL", [*own, *renderers], "000.jpg", hot, 1500)
        await repeated("an original", [own[0], *others], "000.jpg", ORIGINAL, 200)


def main() -> None:
    """Read the arguments and run."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--pictures", type=int, default=60, help="distinct pictures")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--case", action="append", choices=CASES, help="only these cases")
    given = arguments.parse_args()
    asyncio.run(run(given.pictures, given.rounds, given.case or list(CASES)))


if __name__ == "__main__":
    main()
