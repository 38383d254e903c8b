"""`just bench augment_service`: the service's variants per second against the engine's bare loop.

The bare loop is the same work with the same number of processes and nothing around it: decode,
recipe, encode, over and over, from memory to memory. The service does it as a task: commands,
worker processes, pictures stored, facts said, results written. Both in turn, in one run, several
times; the medians are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import multiprocessing
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from augmentation_service.engine import parse
from augmentation_service.rendering import Job, prepare, render
from PIL import Image
from rich.console import Console
from rich.table import Table

from tests.pictures import sample
from tests.system import running_system

console = Console(width=120)
SAMPLES = ("coffee.png", "chelsea.png", "astronaut.png", "rocket.jpg")
RECIPE: list[dict[str, Any]] = [
    {"operation": "rotate", "parameters": {"angle": {"min": -15, "max": 15}}},
    {"operation": "flip", "parameters": {"axis": "y"}, "probability": 0.5},
    {"operation": "brightness", "parameters": {"amount": {"min": -20, "max": 20}}},
    {"operation": "gaussian_blur", "parameters": {"sigma": {"min": 0.5, "max": 2}}},
    {"operation": "gaussian_noise", "parameters": {"std": {"min": 2, "max": 12}}},
]
FORMAT, MAX_PIXELS = "jpeg", 100_000_000


def pictures(side: int) -> list[bytes]:
    """Return JPEG files of side x side pixels."""
    made = []
    for name in SAMPLES:
        file = io.BytesIO()
        image = Image.open(io.BytesIO(sample(name))).convert("RGB").resize((side, side))
        image.save(file, "JPEG", quality=90)
        made.append(file.getvalue())
    return made


def loop(data: bytes, first: int, last: int) -> int:
    """Make variants of one picture; returns their bytes."""
    source, recipe = hashlib.sha256(data).hexdigest(), parse(RECIPE)
    return sum(
        len(
            render(
                data,
                Job(
                    recipe=recipe,
                    seed=1,
                    source=source,
                    variant=variant,
                    format=FORMAT,
                    max_pixels=MAX_PIXELS,
                ),
            ).data
        )
        for variant in range(first, last)
    )


def bare(pool: ProcessPoolExecutor, files: list[bytes], variants: int, workers: int) -> float:
    """Return variants per second of processes that do nothing else."""
    step = max(1, variants // workers)
    started = time.perf_counter()
    tasks = [
        pool.submit(loop, data, first, min(first + step, variants))
        for data in files
        for first in range(0, variants, step)
    ]
    for task in tasks:
        task.result()
    return len(files) * variants / (time.perf_counter() - started)


async def task(http: httpx.AsyncClient, ids: list[str], variants: int) -> float:
    """Return variants per second of the service, from the order to the last result."""
    order = {"ids": ids, "recipe": RECIPE, "variants": variants, "seed": 1, "format": FORMAT}
    started = time.perf_counter()
    accepted = await http.post("/augmentation/tasks", json=order)
    accepted.raise_for_status()
    while True:
        report = (await http.get(accepted.headers["location"])).json()
        if report["status"] in ("done", "failed"):
            break
        await asyncio.sleep(0.1)
    seconds = time.perf_counter() - started
    if report["done"] != report["total"]:
        raise RuntimeError(f"not all were made: {report}")
    return float(report["total"] / seconds)


async def measure(options: argparse.Namespace, folder: Path) -> list[tuple[float, float]]:
    """Return pairs of rates: the bare loop's, the service's."""
    files = pictures(options.side)
    context = multiprocessing.get_context("spawn")
    pairs = []
    with ProcessPoolExecutor(options.workers, context, initializer=prepare) as pool:
        async with (
            running_system(folder, {"WORKERS": str(options.workers)}) as system,
            httpx.AsyncClient(base_url=system.url, timeout=60) as http,
        ):
            ids = []
            for number, data in enumerate(files):
                sent = {"file": (f"{number}.jpg", data)}
                ids.append((await http.post("/registry/upload", files=sent)).json()["id"])
            for image_id in ids:
                await system.ready(http, image_id)
            for round_ in range(options.rounds + 1):
                alone = await asyncio.to_thread(
                    bare, pool, files, options.variants, options.workers
                )
                served = await task(http, ids, options.variants)
                if round_:  # the first warms up
                    pairs.append((alone, served))
                    console.print(f"{alone:8.1f} {served:8.1f}  {served / alone:.2f}x")
    return pairs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench augment_service", description=__doc__)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--variants", type=int, default=60, help="of each of four pictures")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pairs = asyncio.run(measure(options, Path(folder)))
    table = Table("", "variants/s")
    table.add_row(f"bare loop, {options.workers} processes", f"{_median(pairs, 0):.1f}")
    table.add_row(f"service, {options.workers} workers", f"{_median(pairs, 1):.1f}")
    ratio = statistics.median(served / alone for alone, served in pairs)
    table.add_row("ratio, median of rounds", f"{ratio:.2f}x")
    console.print(table)


def _median(pairs: list[tuple[float, float]], which: int) -> float:
    return statistics.median(pair[which] for pair in pairs)


if __name__ == "__main__":
    main()
