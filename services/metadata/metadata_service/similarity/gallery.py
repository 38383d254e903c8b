"""All that look alike: the vectors of every space, fed by facts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import numpy as np
from imagesystem import logs
from imagesystem.bus import Received
from imagesystem.errors import Rejected
from imagesystem.events import Fact

from metadata_service.similarity.collection import Collection
from metadata_service.similarity.looks import Change, Look, Looks
from metadata_service.similarity.port import Found, Neighbours
from metadata_service.similarity.rows import Precision, Rows
from metadata_service.similarity.vectors import Space, Vector, units

__all__ = ["Gallery"]

log = logs.get(__name__)

#: Facts taken before others get their turn.
TURN = 64
#: Vectors compared at once, in double precision: they stay in the processor's cache.
PART = 256
#: Searches at once: each keeps a processor busy.
SEARCHES = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)


class Gallery:
    """The looks of all pictures and their vectors."""

    def __init__(self, *, precision: Precision, graph_from: int) -> None:
        self.looks = Looks()
        self.spaces: dict[Space, Collection] = {}
        self.precision: Precision = precision
        #: Who is asked for the nearest, if it can be; else the vectors in memory are.
        self.neighbours: Neighbours | None = None
        self._graph_from = graph_from
        self._listeners: list[Callable[[Change], None]] = []
        self._searching = asyncio.Semaphore(SEARCHES)
        self._news = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Gallery]:
        """Make graphs in the background until the block is left."""
        tending = asyncio.create_task(self._tend(), name="similarity-graphs")
        try:
            yield self
        finally:
            tending.cancel()
            await asyncio.gather(tending, return_exceptions=True)

    async def take(self, facts: Sequence[Received[Fact]]) -> None:
        """Take facts in; their order does not matter."""
        for number, received in enumerate(facts):
            if number % TURN == TURN - 1:
                await asyncio.sleep(0)
            change = self.looks.take(received)
            if change is not None:
                self._apply(change)

    def recall(self, pictures: Sequence[tuple[str, Look, bytes]]) -> None:
        """Take pictures as documents remember them, unless facts have spoken of them.

        With each its vector in little-endian float32, empty where there is none. One that cannot
        be read is forgotten: the log is to say it again.
        """
        new = [each for each in pictures if each[0] not in self.looks.by_id]
        by_space: dict[Space, list[tuple[str, Look, bytes]]] = {}
        for image_id, look, raw in new:
            self.looks.by_id[image_id] = look
            if look.space is not None:
                by_space.setdefault(look.space, []).append((image_id, look, raw))
        for space, placed in by_space.items():
            values = np.frombuffer(b"".join(raw for _, _, raw in placed), dtype="<f4")
            vectors, good = units(values.reshape(len(placed), space.dimensions))
            for at in np.flatnonzero(~good).tolist():
                placed[at][1].space, placed[at][1].embedding = None, 0
            kept = np.flatnonzero(good).tolist()
            self.collection(space).extend([placed[at][0] for at in kept], vectors[kept])
        for image_id, _, _ in new:
            self._tell(Change(image_id=image_id))

    def _apply(self, change: Change) -> None:
        if change.gone is not None and (held := self.spaces.get(change.gone)) is not None:
            held.remove(change.image_id)
        if change.space is not None and change.vector is not None:
            self.collection(change.space).put(change.image_id, change.vector)
        self._tell(change)

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Have a function called with each change, after it was taken."""
        self._listeners.append(listener)

    def collection(self, space: Space) -> Collection:
        """Return the vectors of a space, made when first asked for."""
        held = self.spaces.get(space)
        if held is None:
            held = self.spaces[space] = Collection(
                space.dimensions, precision=self.precision, graph_from=self._graph_from
            )
        return held

    async def settle(self) -> None:
        """Tidy up after facts were taken; spaces that nothing is left of are forgotten."""
        for space, held in list(self.spaces.items()):
            await held.compact()
            if not len(held):
                del self.spaces[space]
        self._news.set()

    def vector(self, image_id: str) -> tuple[Space, Vector] | None:
        """Return where a picture lies, None if that is not known."""
        look = self.looks.by_id.get(image_id)
        if look is None or look.space is None:
            return None
        held = self.spaces.get(look.space)
        row = held.rows.row_of(image_id) if held is not None else None
        return None if held is None or row is None else (look.space, held.rows.vector(row))

    def size(self, space: Space) -> int:
        """Return how many pictures have a vector there."""
        held = self.spaces.get(space)
        return 0 if held is None else len(held)

    def require(self, space: Space) -> bool:
        """Say whether there is anything to compare a vector of this model with.

        Raises `Rejected` 409 `no_vectors` where pictures have vectors, but of other models alone.
        """
        if not self.size(space) and any(map(len, self.spaces.values())):
            raise Rejected(
                409,
                "no_vectors",
                f"no picture has a vector of {space.model} {space.model_version} yet; have them "
                "made: image-system rerun --task embedding --missing "
                f"--not-by '{space.model} {space.model_version}'",
            )
        return self.size(space) > 0

    async def cosines(
        self, space: Space, vector: Vector, image_ids: Sequence[str]
    ) -> dict[str, float]:
        """Return the cosines between a vector and those of the pictures that have one there.

        To six digits, and always the same for the same two vectors: pages can rest on them.
        """
        rows = self.collection(space).rows
        async with self._searching:
            return await asyncio.to_thread(_cosines, rows, vector, image_ids)

    async def nearest(self, space: Space, vector: Vector, count: int) -> list[Found]:
        """Return the pictures nearest to a vector, nearest first.

        Raises `Rejected` 404 `unknown_space` if no picture has a vector there.
        """
        held = self.spaces.get(space)
        if held is None:
            known = ", ".join(f"{each.model} {each.model_version}" for each in sorted(self.spaces))
            raise Rejected(
                404,
                "unknown_space",
                f"no picture has a vector of {space.model} {space.model_version} with "
                f"{space.dimensions} dimensions",
                allowed=known or "none",
            )
        if self.neighbours is not None and self.neighbours.answers(space):
            return await self.neighbours.nearest(space, vector, count)
        async with self._searching:
            return await asyncio.to_thread(held.snapshot().search, vector, count)

    async def _tend(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            for held in list(self.spaces.values()):
                try:
                    await held.tend()
                except Exception:  # exact search answers as well
                    log.exception("similarity_graph_not_made")


def _cosines(rows: Rows, vector: Vector, image_ids: Sequence[str]) -> dict[str, float]:
    places = {name: row for name in image_ids if (row := rows.row_of(name)) is not None}
    names, numbers = list(places), np.fromiter(places.values(), np.intp, len(places))
    wide = vector.astype(np.float64)
    found: dict[str, float] = {}
    for begin in range(0, len(names), PART):
        part = rows.vectors(numbers[begin : begin + PART]).astype(np.float64) @ wide
        found.update(zip(names[begin : begin + PART], np.round(part, 6).tolist(), strict=True))
    return found
