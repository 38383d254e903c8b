"""Approximate search: a graph (HNSW, Malkov and Yashunin 2016) by usearch.

What is published is never changed. The next graph is a copy with more in it; rows that came
since are searched exactly, and dead rows are left out of what the graph finds. So readers need no
lock, and what was said a moment ago is found.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from imagesystem import logs
from numpy.typing import NDArray
from usearch.index import Index

from metadata_service.similarity.exact import Exact, best, products
from metadata_service.similarity.port import Found
from metadata_service.similarity.rows import Rows
from metadata_service.similarity.vectors import Vector

__all__ = ["Approximate", "Graph"]

log = logs.get(__name__)

#: Neighbours of a node, and how many candidates are kept while adding and while searching.
CONNECTIVITY, EXPANSION_ADD, EXPANSION_SEARCH = 16, 128, 128
#: Rows added between two looks at whether to stop.
STEP = 1024
#: More than asked for is searched, for dead rows and to be put in exact order.
MORE = 16
#: Beyond so many candidates the product over all rows is as fast.
MOST = 4096


class Graph:
    """A graph over the first `count` rows; not changed any more once it is published."""

    def __init__(self, dimensions: int) -> None:
        self._index = Index(
            ndim=dimensions,
            metric="ip",
            dtype="f16",
            connectivity=CONNECTIVITY,
            expansion_add=EXPANSION_ADD,
            expansion_search=EXPANSION_SEARCH,
        )
        self.count = 0

    def extended(self, rows: Rows, last: int, threads: int, stop: Callable[[], bool]) -> Graph:
        """Return a graph over the rows up to `last`, or fewer if it is to stop."""
        graph = Graph(rows.dimensions)
        graph.count = self.count
        if self.count:
            graph._index = self._index.copy()
        while graph.count < last and not stop():
            step = np.arange(graph.count, min(last, graph.count + STEP))
            graph._index.add(step, rows.vectors(step), threads=threads)
            graph.count += len(step)
        return graph

    def nearest(self, query: Vector, count: int) -> NDArray[np.intp]:
        """Return the rows that the graph finds nearest, in no order that can be relied on."""
        found = self._index.search(query, count, threads=1)
        return np.asarray(found.keys, dtype=np.intp).reshape(-1)

    def save(self, path: Path) -> None:
        """Write it into a file."""
        self._index.save(str(path))

    @classmethod
    def load(cls, path: Path, dimensions: int, count: int) -> Graph | None:
        """Read it from a file; None for one that is not of these rows."""
        graph = cls(dimensions)
        try:
            graph._index.load(str(path))
        except RuntimeError as error:
            log.warning("graph_not_read", error=str(error))
            return None
        if len(graph._index) != count or graph._index.ndim != dimensions:
            return None
        graph.count = count
        return graph


class Approximate:
    """The graph, and exactly what it does not know of yet; see `Searcher`."""

    def __init__(self, rows: Rows, graph: Graph) -> None:
        self._rows = rows
        self._count = rows.count
        self._graph = graph
        self._exact = Exact(rows)

    def search(self, query: Vector, count: int) -> list[Found]:
        """See `Searcher.search`."""
        candidates = count + MORE
        while candidates <= min(MOST, self._graph.count):
            rows = self._graph.nearest(query, candidates)
            alive = rows[~self._rows.dead(rows)]
            if len(alive) >= count:
                return self._ranked(query, alive, count)
            candidates *= 4
        return self._exact.search(query, count)

    def _ranked(self, query: Vector, rows: NDArray[np.intp], count: int) -> list[Found]:
        scores = self._rows.vectors(rows) @ query
        if self._count > self._graph.count:
            late = products(self._rows, query, self._graph.count, self._count)
            few = best(late, count)
            rows = np.concatenate([rows, few + self._graph.count])
            scores = np.concatenate([scores, late[few]])
        order = best(scores, count)
        return [
            Found(self._rows.image_id(int(rows[place])), min(1.0, float(scores[place])))
            for place in order
        ]
