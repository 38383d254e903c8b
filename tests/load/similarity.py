"""`just bench similarity`: the nearest pictures, exactly and through a graph, beside NumPy alone.

Vectors as pictures have them (around centres, of length 1), not evenly spread ones: those have no
neighbours worth the name, and no graph finds them.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from metadata_service.similarity.collection import Collection
from metadata_service.similarity.exact import Exact
from metadata_service.similarity.hnsw import Graph
from metadata_service.similarity.rows import Precision
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from services.metadata.tests.samples import image_id

console = Console()
TOP = 10


def vectors(count: int, dimensions: int) -> NDArray[np.float32]:
    """Return unit vectors around one centre for every two hundred."""
    made = np.empty((count, dimensions), dtype=np.float32)
    first = 0
    for part in around_centres(count, dimensions):
        made[first : first + len(part)] = part
        first += len(part)
    return made


def around_centres(
    count: int, dimensions: int, size: int = 10_000
) -> Iterator[NDArray[np.float32]]:
    """Yield the same in parts."""
    random = np.random.default_rng(6)
    centres = random.standard_normal((max(8, count // 200), dimensions), dtype=np.float32)
    for first in range(0, count, size):
        part = random.standard_normal((min(size, count - first), dimensions), dtype=np.float32)
        part *= 0.7
        part += centres[random.integers(len(centres), size=len(part))]
        yield part / np.linalg.norm(part, axis=1, keepdims=True)


def milliseconds(run: Callable[[int], object], times: int) -> float:
    """Return the median of so many runs."""
    run(0)
    taken = []
    for number in range(times):
        began = time.perf_counter()
        run(number)
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def interleaved(runs: dict[str, Callable[[int], object]], times: int) -> dict[str, float]:
    """Return the median of each, taken in turns: others are at work on this machine as well."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(times):
        for name, run in runs.items():
            began = time.perf_counter()
            run(number)
            taken[name].append((time.perf_counter() - began) * 1000)
    return {name: statistics.median(each) for name, each in taken.items()}


def filled(matrix: NDArray[np.float32], precision: Precision, title: str) -> Collection:
    """Return a collection of all rows."""
    index = Collection(matrix.shape[1], precision=precision, graph_from=1000)
    with Progress(console=console) as progress:
        task = progress.add_task(title, total=len(matrix))
        for number, vector in enumerate(matrix):
            index.put(image_id(number), vector)
            if number % 1000 == 0:
                progress.update(task, completed=number)
    return index


def grown(index: Collection) -> float:
    """Make the graph in steps that can be watched; returns the seconds it took."""
    began, graph = time.perf_counter(), Graph(index.rows.dimensions)
    with Progress(console=console) as progress:
        task = progress.add_task("graph", total=index.rows.count)
        for last in range(10_000, index.rows.count + 10_000, 10_000):
            graph = graph.extended(index.rows, min(last, index.rows.count), 2, lambda: False)
            progress.update(task, completed=graph.count)
    index.graph = graph
    return time.perf_counter() - began


def memory_mb() -> float:
    """Return the largest resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def main(count: int, dimensions: int, times: int, graph: bool) -> None:
    """Run it and print a table."""
    matrix = vectors(count, dimensions)
    random = np.random.default_rng(7)
    queries = matrix[random.integers(count, size=times)] * 0.9
    queries += 0.1 * vectors(times, dimensions)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)

    def bare(number: int) -> object:
        return matrix @ queries[number]

    def sorted_(number: int) -> object:
        scores = matrix @ queries[number]
        found = np.argpartition(-scores, TOP)[:TOP]
        return found[np.argsort(-scores[found])]

    index = filled(matrix, "float32", "float32")
    exact = Exact(index.rows)
    half = Exact(filled(matrix, "float16", "float16").rows)
    runs: dict[str, Callable[[int], object]] = {
        "matrix product": bare,
        "product, argpartition": sorted_,
        "exact, float32": lambda number: exact.search(queries[number], TOP),
        "exact, float16": lambda number: half.search(queries[number], TOP),
    }
    for run in runs.values():
        run(0)
    found = interleaved(runs, min(times, 50))
    table = Table(title=f"{TOP} nearest of {count} vectors of {dimensions}")
    for name in ("", "ms", "of the product", "recall"):
        table.add_column(name, justify="right")
    product = found["matrix product"]
    for name, taken in found.items():
        table.add_row(name, f"{taken:.2f}", f"{taken / product:.2f} x", "")
    if graph:
        seconds = grown(index)
        near = index.snapshot()
        hits = 0
        for query in queries:
            wanted = {each.image_id for each in exact.search(query, TOP)}
            hits += len(wanted & {each.image_id for each in near.search(query, TOP)})
        taken = milliseconds(lambda number: near.search(queries[number], TOP), times)
        recall = f"{hits / (TOP * times):.3f}"
        table.add_row("graph", f"{taken:.2f}", f"{taken / product:.2f} x", recall)
        console.print(f"the graph took {seconds:.0f} s, {count / seconds:.0f} vectors/s")
        with tempfile.TemporaryDirectory() as folder:
            assert index.graph is not None
            index.graph.save(Path(folder) / "graph")
            bytes_ = (Path(folder) / "graph").stat().st_size
        console.print(f"the graph has {bytes_ / count:.0f} bytes a vector")
    console.print(table)
    console.print(f"largest memory: {memory_mb():.0f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=200_000)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--no-graph", action="store_true")
    given = parser.parse_args()
    asyncio.run(main(given.vectors, given.dimensions, given.queries, not given.no_graph))
