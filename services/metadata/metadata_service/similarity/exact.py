"""Exact search: the product of all rows with the query (BLAS), and the best of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from metadata_service.similarity.port import Found
from metadata_service.similarity.rows import Rows
from metadata_service.similarity.vectors import Vector

__all__ = ["Exact", "best", "products"]

#: Scores whose maximum is looked at first.
GROUP = 64
#: Below any cosine.
DEAD = -2.0
#: Rows of float16 that are made float32 at once: they stay in the processor's cache.
CAST = 512


class Exact:
    """The rows up to `count`; see `Searcher`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._count = rows.count

    def search(self, query: Vector, count: int) -> list[Found]:
        """See `Searcher.search`."""
        scores = products(self._rows, query, 0, self._count)
        return [
            Found(self._rows.image_id(row), min(1.0, max(-1.0, float(scores[row]))))
            for row in best(scores, count).tolist()
        ]


def products(rows: Rows, query: Vector, first: int, last: int) -> NDArray[np.float32]:
    """Return the cosines of the rows from `first` to `last`; `DEAD` for dead ones."""
    scores = np.empty(last - first, dtype=np.float32)
    for begin, vectors, dead in rows.parts(first, last):
        part = scores[begin - first : begin - first + len(vectors)]
        if vectors.dtype == np.float32:
            np.dot(vectors, query, out=part)
        else:
            _cast_products(vectors, query, part)
        if dead.any():
            part[dead] = DEAD
    return scores


def _cast_products(vectors: NDArray[Any], query: Vector, out: NDArray[np.float32]) -> None:
    room = np.empty((CAST, len(query)), dtype=np.float32)
    for begin in range(0, len(vectors), CAST):
        part = vectors[begin : begin + CAST]
        np.copyto(room[: len(part)], part)
        np.dot(room[: len(part)], query, out=out[begin : begin + len(part)])


def best(scores: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Return where the `count` highest scores are, highest first, dead ones left out.

    The maxima of groups say from which score on it is among the best, so that few are sorted.
    """
    if len(scores) > 4 * GROUP * count:
        whole = len(scores) // GROUP * GROUP
        maxima = scores[:whole].reshape(-1, GROUP).max(axis=1)
        floor = np.partition(maxima, len(maxima) - count)[len(maxima) - count]
        found = np.flatnonzero(scores >= floor)
    else:
        found = np.arange(len(scores))
    found = found[scores[found] > DEAD]
    if len(found) > count:
        found = found[np.argpartition(-scores[found], count - 1)[:count]]
    return found[np.argsort(-scores[found], kind="stable")]
