"""`just bench inference`: each task through the service against a bare loop over the same code.

The service is all of it but NATS: events on the in-memory bus, planning, worker processes, facts.
The bare loop decodes and asks the model, in as many processes, and does nothing else. Then a
network of the benchmark's own: batched or not, and in every worker or in one process. Then, on
the whole stack, from upload until every task has answered; and the memory over many pictures.

Every part ends when its time is over (`--seconds` for each row, round or wait), on any machine.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import uvloop
from imagesystem import logs
from inference_service.decoding import decode
from inference_service.looking import LEAST_SIDE, prepare_worker
from inference_service.models import BUILT_IN
from inference_service.tasks import TASKS
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from tests.load.inference_cases import CORES, Spent, cpu_seconds, photographs, service
from tests.load.inference_network import networks
from tests.load.inference_stack import memory_over, upload_to_done

console = Console()
MOST_PIXELS = 100_000_000
#: Rounds of a row and pictures of a round, at least; seconds that either side takes for a round.
LEAST_ROUNDS, LEAST_COUNT, ROUND_S = 3, 12, 1.0


def _prepare(tasks: tuple[str, ...]) -> None:
    prepare_worker([BUILT_IN[task] for task in tasks])


def _bare(tasks: tuple[str, ...], data: bytes) -> None:
    models = [BUILT_IN[task] for task in tasks]
    side = max(LEAST_SIDE, *(model.side for model in models))
    picture = decode(data, max_pixels=MOST_PIXELS, side=side)
    found: dict[str, Any] = {}
    for model in models:
        found[model.task] = model.run(picture.reduced(max(LEAST_SIDE, model.side)), found)


def _loop(pool: ProcessPoolExecutor, tasks: tuple[str, ...], pictures: list[bytes]) -> Spent:
    pids = list(pool._processes or ())
    cpu, started = cpu_seconds(pids), time.perf_counter()
    list(pool.map(partial(_bare, tasks), pictures))
    took = time.perf_counter() - started
    return Spent(pictures=len(pictures), seconds=took, cpu_s=cpu_seconds(pids) - cpu)


async def tasks_against_loops(seconds: float, step: Callable[[str], None]) -> Table:
    """Return each task's pictures a second through the service and in a bare loop."""
    table = Table(title=f"{CORES} workers, medians of rounds in turns")
    columns = ("task", "rounds", "service/s", "bare loop/s", "ratio", "CPU ms", "bare", "ratio")
    for column in columns:
        table.add_column(column, justify="left" if column == "task" else "right")
    kinds: list[tuple[str, ...]] = [(task,) for task in TASKS if task != "labels"]
    for tasks in (*kinds, tuple(TASKS)):
        pairs = await _rounds(tasks, seconds)
        served, bare = zip(*pairs, strict=True)
        row = (
            tasks[0] if len(tasks) == 1 else "all six",
            str(len(pairs)),
            f"{statistics.median(spent.rate for spent in served):.1f}",
            f"{statistics.median(spent.rate for spent in bare):.1f}",
            f"{statistics.median(ours.rate / theirs.rate for ours, theirs in pairs):.2f}",
            f"{statistics.median(spent.cpu_ms for spent in served):.1f}",
            f"{statistics.median(spent.cpu_ms for spent in bare):.1f}",
            f"{statistics.median(theirs.cpu_ms / ours.cpu_ms for ours, theirs in pairs):.2f}",
        )
        table.add_row(*row)
        step(" ".join(row))
    return table


async def _rounds(tasks: tuple[str, ...], seconds: float) -> list[tuple[Spent, Spent]]:
    """Return what the service and the loop took, round after round, each first in turn."""
    context = multiprocessing.get_context("spawn")
    pairs: list[tuple[Spent, Spent]] = []
    with ProcessPoolExecutor(CORES, context, _prepare, (tasks,)) as pool:
        async with service(tasks) as running:
            trial = await asyncio.to_thread(_loop, pool, tasks, photographs(2 * CORES))
            count = max(LEAST_COUNT, min(100, int(trial.rate * ROUND_S)))
            pictures = photographs(count)
            until = time.perf_counter() + seconds
            while len(pairs) < LEAST_ROUNDS or time.perf_counter() < until:
                turn = [data + len(pairs).to_bytes(2) for data in pictures]  # bytes of its own
                sides = [running.look(turn), asyncio.to_thread(_loop, pool, tasks, turn)]
                order = (0, 1) if len(pairs) % 2 else (1, 0)
                spent = {side: await sides[side] for side in order}
                pairs.append((spent[0], spent[1]))
    return pairs


async def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="for each row")
    parser.add_argument("--memory", type=int, default=10_000, help="pictures for the memory")
    parser.add_argument("--only", default="tasks,network,stack,memory", help="parts, with commas")
    options = parser.parse_args()
    logs.configure("bench", level="error", form="console")
    parts = {
        "tasks": (partial(tasks_against_loops, options.seconds), len(TASKS)),
        "network": (partial(networks, options.seconds), 1),
        "stack": (partial(upload_to_done, options.seconds), 2),
        "memory": (partial(memory_over, options.memory), 10),
    }
    with Progress(console=console, transient=True) as progress:
        for name in (name for name in parts if name in options.only.split(",")):
            part, steps = parts[name]
            shown = progress.add_task(name, total=steps)

            def step(line: str, shown: TaskID = shown) -> None:
                progress.advance(shown)
                progress.console.print(f"[dim]{line}[/dim]")  # whoever breaks it off has this much

            progress.console.print(await part(step))


if __name__ == "__main__":
    uvloop.run(main())  # as the service runs
