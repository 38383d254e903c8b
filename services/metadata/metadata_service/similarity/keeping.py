"""The index of vectors in files, so that a start need not read all of them from the log again.

A folder has one file per space with its rows, one with its graph, and `index.json`, which says up
to which sequence of the log they go. A folder is written whole beside the one before and takes its
place at one stroke. What cannot be read, or does not fit the log, is as if it were not there: all
of it is in the log.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import numpy as np
from imagesystem import ids, logs
from imagesystem.bus import Bus
from imagesystem.errors import Transient
from numpy.typing import NDArray

from metadata_service.following import Following
from metadata_service.similarity.gallery import Gallery
from metadata_service.similarity.hnsw import Graph
from metadata_service.similarity.looks import PATTERNS
from metadata_service.similarity.rows import Rows
from metadata_service.similarity.vectors import Space

__all__ = ["Keeper"]

log = logs.get(__name__)

#: Between looks at whether something has changed and is to be written.
SAVE_EVERY_S = 300.0
#: Nobody takes so long to write: a folder that is older was left by a process that was killed.
ABANDONED_S = 3600.0
EMBEDDINGS = next(pattern for pattern in PATTERNS if pattern.endswith("embedding"))


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One space: how many rows, their checksum, and how many of them are in the graph."""

    space: Space
    rows: int
    checksum: int
    graph: int


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder holds; `place`: every embedding up to this sequence of the log is in it."""

    place: int
    precision: str
    spaces: list[Kept]
    version: int = 1


class Taken(msgspec.Struct, frozen=True):
    """One space at one moment; `sequences`: of the fact of each row, 0 where it is dead."""

    space: Space
    rows: Rows
    count: int
    sequences: NDArray[np.int64]
    graph: Graph | None


class Keeper:
    """Writes the vectors of a gallery into `folder` (None: nowhere) and reads them again."""

    def __init__(
        self, gallery: Gallery, following: Following, bus: Bus, folder: Path | None
    ) -> None:
        self._gallery = gallery
        self._following = following
        self._bus = bus
        self._folder = folder
        self._saved = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write every now and then, and when the block is left."""
        saving = asyncio.create_task(self._save_on(), name="similarity-files")
        try:
            yield
        finally:
            saving.cancel()
            await asyncio.gather(saving, return_exceptions=True)
            await self.save()

    async def _save_on(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            await self.save()

    async def restore(self) -> None:
        """Take what is kept into the gallery, and let embeddings be followed from there."""
        if self._folder is None or not (self._folder / "index.json").exists():
            return
        began = time.perf_counter()
        try:
            head = await self._bus.head()
            place, taken = await asyncio.to_thread(
                _read, self._folder, head, self._gallery.precision
            )
        except (OSError, ValueError, msgspec.MsgspecError, Transient) as error:
            log.warning("similarity_not_restored", error=str(error))
            return
        for each in taken:
            self._gallery.collection(each.space).take(each.rows, each.graph)
            for number, image_id in enumerate(each.rows.image_ids()):
                row = each.rows.row_of(image_id)
                sequence = int(each.sequences[row])
                self._gallery.looks.remember(image_id, each.space, sequence)
                if number % 1000 == 0:
                    await asyncio.sleep(0)
        self._following.begin_at({EMBEDDINGS: place})
        self._saved = place
        vectors, seconds = sum(len(each.rows) for each in taken), time.perf_counter() - began
        log.info("similarity_restored", vectors=vectors, seconds=round(seconds, 3))

    async def save(self) -> None:
        """Write the vectors as they are now, if some came since."""
        if self._folder is None or self._following.behind is not None:
            return
        place = self._following.places[EMBEDDINGS]
        if place == self._saved:
            return
        taken = [self._take(space) for space in self._gallery.spaces]
        try:
            await asyncio.to_thread(_write, self._folder, place, self._gallery.precision, taken)
        except OSError as error:
            log.warning("similarity_not_kept", error=str(error))
            return
        self._saved = place

    def _take(self, space: Space) -> Taken:
        held = self._gallery.spaces[space]
        rows, count = held.rows, held.rows.count
        sequences = np.zeros(count, dtype=np.int64)
        for image_id in rows.image_ids():
            sequences[rows.row_of(image_id)] = self._gallery.looks.by_id[image_id].embedding
        graph = held.graph
        return Taken(space, rows, count, sequences, graph)


def _write(folder: Path, place: int, precision: str, taken: list[Taken]) -> None:
    _sweep(folder)
    beside, before = (folder.with_name(f"{folder.name}-{ids.new_id()}") for _ in range(2))
    beside.mkdir(parents=True)
    try:
        kept = []
        for number, each in enumerate(taken):
            with (beside / f"{number}.rows").open("wb") as file:
                checksum = each.rows.write(file, each.count)
                file.write(each.sequences.tobytes())
            if each.graph is not None:
                each.graph.save(beside / f"{number}.graph")
            graph = each.graph.count if each.graph else 0
            kept.append(Kept(space=each.space, rows=each.count, checksum=checksum, graph=graph))
        contents = Contents(place=place, precision=precision, spaces=kept)
        (beside / "index.json").write_bytes(msgspec.json.encode(contents))
        if folder.exists():
            folder.rename(before)
        beside.rename(folder)
    finally:
        for left in (beside, before):
            shutil.rmtree(left, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what processes left that were killed while they wrote."""
    for left in folder.parent.glob(f"{folder.name}-*"):
        with suppress(FileNotFoundError):  # somebody else removed it
            if time.time() - left.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(left)


def _read(folder: Path, head: int, precision: str) -> tuple[int, list[Taken]]:
    contents = msgspec.json.decode((folder / "index.json").read_bytes(), type=Contents)
    if contents.version != 1 or contents.precision != precision or contents.place > head:
        raise ValueError("it is of another version, precision or log")
    taken = []
    for number, kept in enumerate(contents.spaces):
        rows = Rows(kept.space.dimensions, precision)  # type: ignore[arg-type]  # compared above
        with (folder / f"{number}.rows").open("rb") as file:
            if rows.read(file, kept.rows) != kept.checksum:
                raise ValueError(f"{number}.rows is not what was written")
            sequences = np.frombuffer(file.read(8 * kept.rows), dtype=np.int64)
        if len(sequences) != kept.rows:
            raise ValueError(f"{number}.rows is too short")
        graph = None
        if kept.graph:
            graph = Graph.load(folder / f"{number}.graph", kept.space.dimensions, kept.graph)
        taken.append(Taken(kept.space, rows, kept.rows, sequences, graph))
    return contents.place, taken
