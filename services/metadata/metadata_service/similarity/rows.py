"""Vectors in blocks of rows that are written once: what was read stays as it was.

A vector that is replaced or forgotten leaves a dead row behind; `compacted` makes rows without.
Per vector: its numbers (4 bytes each, or 2), 16 bytes for the id, 1 for whether it is dead, and
about 180 for Python's way from the id to the row.
"""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from metadata_service.similarity.vectors import Floats, Vector

__all__ = ["BLOCK", "Precision", "Rows"]

Precision = Literal["float32", "float16"]
#: Rows in a block. The product is made block by block, and where all cores are busy each waits for
#: threads of its own: with 16384 it took thrice as long. What is not written takes no memory.
BLOCK = 65536


class Rows:
    """Rows of vectors; `count` of them, dead ones included. One writer.

    A reader takes `count` first: rows below it never change, but for becoming dead.
    """

    def __init__(self, dimensions: int, precision: Precision = "float32") -> None:
        self.dimensions = dimensions
        self.precision: Precision = precision
        self.count = 0
        self.blocks: list[Floats] = []
        self._ids: list[NDArray[np.uint8]] = []
        self._dead: list[NDArray[np.bool_]] = []
        self._places: dict[bytes, int] = {}

    def __len__(self) -> int:
        """How many are alive."""
        return len(self._places)

    @property
    def wasted(self) -> int:
        """How many are dead."""
        return self.count - len(self._places)

    def put(self, image_id: str, vector: Vector) -> int:
        """Write a row, and return its number; the image's row before is dead."""
        key = uuid.UUID(image_id).bytes
        block, place = self._room()
        self.blocks[block][place] = vector
        self._ids[block][place] = np.frombuffer(key, dtype=np.uint8)
        before = self._places.get(key)
        self._places[key] = row = self.count
        self.count += 1
        if before is not None:
            self._kill(before)
        return row

    def extend(self, image_ids: Sequence[str], vectors: Floats) -> None:
        """Write the rows (n, d) of images that have none yet."""
        keys = [uuid.UUID(image_id).bytes for image_id in image_ids]
        written = 0
        while written < len(keys):
            block, place = self._room()
            count = min(BLOCK - place, len(keys) - written)
            part = slice(written, written + count)
            self.blocks[block][place : place + count] = vectors[part]
            raw = np.frombuffer(b"".join(keys[part]), dtype=np.uint8)
            self._ids[block][place : place + count] = raw.reshape(count, 16)
            self._places.update(zip(keys[part], range(self.count, self.count + count), strict=True))
            self.count += count
            written += count

    def _room(self) -> tuple[int, int]:
        """Return the block and the place in it of the next row."""
        block, place = divmod(self.count, BLOCK)
        if block == len(self.blocks):
            self.blocks.append(np.empty((BLOCK, self.dimensions), dtype=self.precision))
            self._ids.append(np.zeros((BLOCK, 16), dtype=np.uint8))
            self._dead.append(np.zeros(BLOCK, dtype=np.bool_))
        return block, place

    def remove(self, image_id: str) -> None:
        """Make the image's row dead."""
        row = self._places.pop(uuid.UUID(image_id).bytes, None)
        if row is not None:
            self._kill(row)

    def _kill(self, row: int) -> None:
        self._dead[row // BLOCK][row % BLOCK] = True

    def row_of(self, image_id: str) -> int | None:
        """Return the row of an image."""
        return self._places.get(uuid.UUID(image_id).bytes)

    def vector(self, row: int) -> Vector:
        """Return a row as float32."""
        found: Vector = self.blocks[row // BLOCK][row % BLOCK].astype(np.float32)
        return found

    def vectors(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return several rows as float32 (n, d)."""
        found = np.empty((len(rows), self.dimensions), dtype=np.float32)
        for place, row in enumerate(rows.tolist()):
            found[place] = self.blocks[row // BLOCK][row % BLOCK]
        return found

    def image_id(self, row: int) -> str:
        """Return the image of a row."""
        return str(uuid.UUID(bytes=self._ids[row // BLOCK][row % BLOCK].tobytes()))

    def dead(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return which of the rows are dead."""
        found = [self._dead[row // BLOCK][row % BLOCK] for row in rows.tolist()]
        return np.array(found, dtype=np.bool_)

    def parts(self, first: int, last: int) -> Iterator[tuple[int, Floats, NDArray[np.bool_]]]:
        """Yield the rows from `first` to `last` block by block: number, vectors, which are dead."""
        while first < last:
            block, place = divmod(first, BLOCK)
            stop = min(BLOCK, place + last - first)
            yield first, self.blocks[block][place:stop], self._dead[block][place:stop]
            first += stop - place

    def compacted(self) -> Rows:
        """Return the same without dead rows."""
        kept = Rows(self.dimensions, self.precision)
        for key, row in sorted(self._places.items(), key=lambda each: each[1]):
            kept.put(str(uuid.UUID(bytes=key)), self.blocks[row // BLOCK][row % BLOCK])
        return kept

    def image_ids(self) -> list[str]:
        """Return the images, in no order."""
        return [str(uuid.UUID(bytes=key)) for key in self._places]

    def write(self, file: BinaryIO, count: int) -> int:
        """Write the first rows into a file; returns their checksum (CRC-32)."""
        checksum = 0
        for first in range(0, count, BLOCK):
            block, rows = first // BLOCK, min(BLOCK, count - first)
            for part in (self.blocks, self._ids, self._dead):
                data = np.ascontiguousarray(part[block][:rows]).tobytes()
                checksum = zlib.crc32(data, checksum)
                file.write(data)
        return checksum

    def read(self, file: BinaryIO, count: int) -> int:
        """Take rows from a file; returns their checksum. Raises ValueError if it is too short."""
        checksum = 0
        for first in range(0, count, BLOCK):
            rows = min(BLOCK, count - first)
            self.blocks.append(np.empty((BLOCK, self.dimensions), dtype=self.precision))
            self._ids.append(np.zeros((BLOCK, 16), dtype=np.uint8))
            self._dead.append(np.zeros(BLOCK, dtype=np.bool_))
            for part in (self.blocks[-1], self._ids[-1], self._dead[-1]):
                data = file.read(part[:rows].nbytes)
                checksum = zlib.crc32(data, checksum)
                part[:rows] = np.frombuffer(data, dtype=part.dtype).reshape(rows, *part.shape[1:])
            for place in np.flatnonzero(~self._dead[-1][:rows]).tolist():
                self._places[self._ids[-1][place].tobytes()] = first + place
        self.count = count
        return checksum
