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
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_SEED", "Randomness", "Stream"]

#: Seeds travel as JSON numbers, which are exact up to here in every language (RFC 8259).
MAX_SEED = 2**53 - 1
_DOMAIN = b"image-system augmentation 1"
#: Blocks of four words that are computed here.
_BLOCKS = 4
#: The constants of Philox4x64.
_WORD = 2**64 - 1
_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)


class Stream:
    """One stream of random numbers; `identity` is what it is for, whatever its length.

    It costs nothing until the first number is taken: most steps take none. Single numbers come
    from the first blocks, computed here: NumPy's generators take longer to make than to use.
    """

    def __init__(self, identity: bytes) -> None:
        self._identity = identity
        self._block: tuple[int, ...] = ()
        self._number = -1
        self._taken = 0
        self._generator: np.random.Philox | None = None

    @property
    def _key(self) -> int:
        # As an integer, so that the machine's byte order does not matter.
        return int.from_bytes(hashlib.sha256(_DOMAIN + self._identity).digest()[:16], "little")

    @property
    def _bits(self) -> np.random.Philox:
        if self._generator is None:
            self._generator = np.random.Philox(key=self._key)
            if self._taken:
                self._generator.random_raw(self._taken)
        return self._generator

    def _word(self) -> int:
        number, place = divmod(self._taken, 4)
        if self._generator is not None or number >= _BLOCKS:
            return int(self._bits.random_raw())
        if number != self._number:
            self._block, self._number = _block(self._key, number + 1), number
        self._taken += 1
        return self._block[place]

    def seek(self, place: int) -> Stream:
        """Go to the word with that number; returns the stream."""
        self._taken = place
        self._generator = None
        return self

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
        return (self._word() >> 11) * 2.0**-53

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

    @property
    def generator(self) -> np.random.Generator:
        """NumPy's distributions over this stream.

        They may change between versions of NumPy: for operations that are not exact.
        """
        return np.random.Generator(self._bits)

    def below(self, bound: int) -> int:
        """Return a uniform integer in [0, bound), bound up to 2**32 (bias below 2**-32)."""
        return (self._word() * bound) >> 64


class Randomness:
    """Where the streams of one variant come from.

    `seed` is the user's, `source` the digest of the source picture, `variant` its number.
    """

    def __init__(self, seed: int, source: str, variant: int = 0) -> None:
        self.seed = seed
        self.source = source
        self.variant = variant
        # Lengths before texts: no two uses are the same bytes.
        self._start = struct.pack("<QQ", seed, variant) + _text(source)

    def stream(self, step: str, purpose: str) -> Stream:
        """Return the stream of one use: `step` is its path in the recipe, as `0`."""
        return Stream(self._start + _text(step) + _text(purpose))


@lru_cache(1024)
def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _block(key: int, counter: int) -> tuple[int, int, int, int]:
    """Return four words of Philox4x64-10; NumPy counts from 1."""
    low, high = key & _WORD, key >> 64
    a, b, c, d = counter, 0, 0, 0
    for _ in range(10):
        left, right = _MULTIPLIERS[0] * a, _MULTIPLIERS[1] * c
        a, b, c, d = (
            (right >> 64) ^ b ^ low,
            right & _WORD,
            (left >> 64) ^ d ^ high,
            left & _WORD,
        )
        low, high = (low + _WEYL[0]) & _WORD, (high + _WEYL[1]) & _WORD
    return a, b, c, d
