"""The port of vector indexes: one writer, and any number of readers who hold a snapshot."""

from __future__ import annotations

from typing import Protocol

import msgspec

from metadata_service.similarity.vectors import Space, Vector

__all__ = ["Found", "Neighbours", "Searcher", "VectorIndex"]


class Found(msgspec.Struct, frozen=True):
    """A picture, and the cosine between its vector and the one asked for (-1 to 1)."""

    image_id: str
    cosine: float


class Searcher(Protocol):
    """An index as it was at one moment. Safe to use in any thread, while the writer writes on."""

    def search(self, query: Vector, count: int) -> list[Found]:
        """Return the `count` nearest, nearest first; those of equal cosine in any order."""
        ...


class VectorIndex(Protocol):
    """Vectors by image id. What changes it is called by one task at a time."""

    def put(self, image_id: str, vector: Vector) -> None:
        """Add a vector, or replace the image's."""
        ...

    def remove(self, image_id: str) -> None:
        """Forget the image's vector, if there is one."""
        ...

    def snapshot(self) -> Searcher:
        """Return what can be searched now; costs nothing that grows with the index."""
        ...

    def __len__(self) -> int:
        """How many vectors there are."""
        ...


class Neighbours(Protocol):
    """A database that knows the vectors too, and may be asked in place of the memory."""

    def answers(self, space: Space) -> bool:
        """Say whether it can be asked about this space yet."""
        ...

    async def nearest(self, space: Space, vector: Vector, count: int) -> list[Found]:
        """Return the `count` nearest, nearest first; raises `Unavailable`."""
        ...

    def check(self) -> str | None:
        """Return one line that says why it cannot be asked, or None."""
        ...
