"""Perceptual hashes within a Hamming distance, found by multi-index hashing.

A hash of 64 bits is cut into four parts of 16. Of two hashes that differ in at most d bits, one
part differs in at most d/4: so few buckets have all that may be near (Norouzi, Punjani and Fleet:
Fast Exact Search in Hamming Space with Multi-Index Hashing, 2014).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

__all__ = ["BITS", "MultiIndex"]

BITS, PARTS = 64, 4
PART_BITS = BITS // PARTS
PART_MASK = (1 << PART_BITS) - 1


class MultiIndex:
    """Names by hash; `near` finds those within `distance` bits."""

    def __init__(self, distance: int) -> None:
        self.distance = distance
        self._names: dict[int, set[str]] = {}
        self._tables: list[dict[int, set[int]]] = [{} for _ in range(PARTS)]
        radius = distance // PARTS
        self._flips = [
            sum(1 << bit for bit in bits)
            for count in range(radius + 1)
            for bits in combinations(range(PART_BITS), count)
        ]

    def add(self, value: int, name: str) -> None:
        """Put a name under a hash."""
        names = self._names.setdefault(value, set())
        if not names:
            for table, part in zip(self._tables, _parts(value), strict=True):
                table.setdefault(part, set()).add(value)
        names.add(name)

    def remove(self, value: int, name: str) -> None:
        """Take a name away that is under a hash."""
        names = self._names[value]
        names.remove(name)
        if not names:
            del self._names[value]
            for table, part in zip(self._tables, _parts(value), strict=True):
                held = table[part]
                held.remove(value)
                if not held:
                    del table[part]

    def near(self, value: int) -> Iterator[str]:
        """Yield the names under hashes within the distance, each once."""
        seen: set[int] = set()
        for table, part in zip(self._tables, _parts(value), strict=True):
            for flip in self._flips:
                seen.update(table.get(part ^ flip, ()))
        for other in seen:
            if (value ^ other).bit_count() <= self.distance:
                yield from self._names[other]


def _parts(value: int) -> Iterator[int]:
    for place in range(PARTS):
        yield value >> (place * PART_BITS) & PART_MASK
