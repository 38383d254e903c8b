"""Random numbers that depend on what they are for, never on what was drawn before.

Every use has a Philox stream of its own (Salmon et al., "Parallel random numbers: as easy as
1, 2, 3", SC 2011), keyed by seed, source digest, variant, step and purpose. So a variant is the
same in whatever order and by however many workers the others are made, and a step's noise is
the same whether its parameters were drawn or given.

Only raw words are taken from NumPy, whose bit generators keep their streams between versions
(NEP 19; `Generator` methods do not); everything else is made of them by integer arithmetic.
"""

from __future__ import annotations

import hashlib
import struct
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_SEED", "Randomness", "Stream"]

#: Seeds travel as JSON numbers, which are exact up to here in every language (RFC 8259).
MAX_SEED = 2**53 - 1
_DOMAIN = b"image-system augmentation 1"


class Stream:
    """One stream of random numbers; `identity` is what it is for, whatever its length.

    It costs nothing until the first number is taken: most steps take none.
    """

    def __init__(self, identity: bytes) -> None:
        self._identity = identity

    @cached_property
    def _bits(self) -> np.random.Philox:
        key = hashlib.sha256(_DOMAIN + self._identity).digest()[:16]
        # As an integer, so that the machine's byte order does not matter.
        return np.random.Philox(key=int.from_bytes(key, "little"))

    def words(self, count: int) -> NDArray[np.uint64]:
        """Return `count` uniform 64-bit words."""
        raw: NDArray[Any] = self._bits.random_raw(count)
        return raw.astype(np.uint64, copy=False)

    def halfwords(self, count: int) -> NDArray[np.uint16]:
        """Return `count` uniform 16-bit words; whole 64-bit words are used up."""
        words = self.words(-(-count // 4)).astype("<u8", copy=False)
        return words.view("<u2")[:count].astype(np.uint16, copy=False)

    def unit(self) -> float:
        """Return a uniform number in [0, 1), one of 2**53."""
        return (int(self._bits.random_raw()) >> 11) * 2.0**-53

    def units(self, count: int) -> NDArray[np.float64]:
        """Return `count` uniform numbers in [0, 1), each one of 2**53."""
        return (self.words(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def belows(self, bound: int, count: int) -> NDArray[np.int64]:
        """Return `count` uniform integers in [0, bound), bound up to 2**31 (bias below 2**-32)."""
        high = self.words(count) >> np.uint64(32)
        return ((high * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)

    def permutation(self, count: int) -> list[int]:
        """Return 0 to count - 1 in random order (Fisher and Yates)."""
        order = list(range(count))
        for last in range(count - 1, 0, -1):
            place = self.below(last + 1)
            order[last], order[place] = order[place], order[last]
        return order

    @cached_property
    def generator(self) -> np.random.Generator:
        """NumPy's distributions over this stream.

        They may change between versions of NumPy: for operations that are not exact.
        """
        return np.random.Generator(self._bits)

    def below(self, bound: int) -> int:
        """Return a uniform integer in [0, bound), bound up to 2**32 (bias below 2**-32)."""
        return (int(self._bits.random_raw()) * bound) >> 64


class Randomness(msgspec.Struct, frozen=True):
    """Where the streams of one variant come from.

    `seed` is the user's, `source` the digest of the source picture, `variant` its number.
    """

    seed: int
    source: str
    variant: int = 0

    def stream(self, step: str, purpose: str) -> Stream:
        """Return the stream of one use: `step` is its path in the recipe, as `0`."""
        # Lengths before texts: no two uses are the same bytes.
        parts = [struct.pack("<QQ", self.seed, self.variant)]
        for text in (self.source, step, purpose):
            encoded = text.encode()
            parts += [struct.pack("<Q", len(encoded)), encoded]
        return Stream(b"".join(parts))
