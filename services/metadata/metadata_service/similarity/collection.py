"""The vectors of one space, searched exactly while they are few, through a graph when many."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

from imagesystem import logs

from metadata_service.similarity.exact import Exact
from metadata_service.similarity.hnsw import Approximate, Graph
from metadata_service.similarity.port import Searcher
from metadata_service.similarity.rows import Precision, Rows
from metadata_service.similarity.vectors import Floats, Vector

__all__ = ["Collection"]

log = logs.get(__name__)

#: Dead rows are removed when there are so many, and one in so many is dead.
WASTED, WASTED_SHARE = 4096, 4
#: Rows that the graph does not know of yet before the next one is made: so many, or this share.
LATE, LATE_SHARE = 4096, 8


class Collection:
    """See `VectorIndex`. From `graph_from` vectors on a graph is kept (`tend` makes it)."""

    def __init__(
        self, dimensions: int, *, precision: Precision, graph_from: int, threads: int = 1
    ) -> None:
        self.rows = Rows(dimensions, precision)
        self.graph: Graph | None = None
        self._graph_from = graph_from
        self._threads = threads

    def __len__(self) -> int:
        """See `VectorIndex.__len__`."""
        return len(self.rows)

    def put(self, image_id: str, vector: Vector) -> None:
        """See `VectorIndex.put`."""
        self.rows.put(image_id, vector)

    def extend(self, image_ids: Sequence[str], vectors: Floats) -> None:
        """Take the vectors (n, d) of images that have none yet."""
        self.rows.extend(image_ids, vectors)

    def remove(self, image_id: str) -> None:
        """See `VectorIndex.remove`."""
        self.rows.remove(image_id)

    def snapshot(self) -> Searcher:
        """See `VectorIndex.snapshot`."""
        return Exact(self.rows) if self.graph is None else Approximate(self.rows, self.graph)

    def take(self, rows: Rows, graph: Graph | None) -> None:
        """Go on with rows and a graph that were kept in files."""
        self.rows, self.graph = rows, graph

    async def compact(self) -> None:
        """Remove dead rows if they are many. Nothing may be put or removed meanwhile."""
        rows = self.rows
        if rows.wasted >= WASTED and rows.wasted * WASTED_SHARE >= rows.count:
            self.rows, self.graph = await asyncio.to_thread(rows.compacted), None

    async def tend(self) -> bool:
        """Make the next graph if there is need of one; returns whether it did.

        Takes minutes for hundreds of thousands of vectors, in a thread of its own; vectors may
        be put, removed and searched meanwhile. If rows are compacted meanwhile, it was in vain.
        """
        rows, graph = self.rows, self.graph
        known, count = (graph.count if graph else 0), rows.count
        if len(rows) < self._graph_from or count - known < max(LATE, known // LATE_SHARE):
            return False
        made = await _in_thread(
            lambda stop: (graph or Graph(rows.dimensions)).extended(
                rows, count, self._threads, stop
            )
        )
        if self.rows is rows and made is not None:
            self.graph = made
            log.info("similarity_graph_made", vectors=made.count, dimensions=rows.dimensions)
        return True


async def _in_thread(work: Callable[[Callable[[], bool]], Graph]) -> Graph | None:
    """Run `work` in a thread, which is told to stop when this is cancelled."""
    stop = threading.Event()
    try:
        return await asyncio.to_thread(work, stop.is_set)
    finally:
        stop.set()
