"""How a worker's memory is kept between two pictures, where the C library lets us say so."""

from __future__ import annotations

import ctypes
from contextlib import suppress

__all__ = ["give_back", "keep"]

#: mallopt(3): free memory at the end of the heap that is kept, and from which size on a block is
#: asked of the system and given back to it by itself.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3


def keep(most: int, largest: int | None = None) -> None:
    """Keep up to `most` freed bytes for what comes next, and give back whatever is more.

    Blocks from `largest` bytes on (`most`, where nothing is said) are given back each by itself.
    By default a large block comes fresh from the system, a page fault for every 4 KiB: that was a
    third of the time of a rendition. Only glibc has this; elsewhere nothing happens.
    """
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, most if largest is None else largest)
        mallopt(M_TRIM_THRESHOLD, most)


def give_back() -> None:
    """Give the system all that is free, in between too, after a picture that took much."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
