"""How a worker's memory is kept between two pictures, where the C library lets us say so."""

from __future__ import annotations

import ctypes
from contextlib import suppress

__all__ = ["keep"]

#: mallopt(3): free memory at the end of the heap that is kept, and from which size on a block is
#: asked of the system and given back to it by itself.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3


def keep(most: int) -> None:
    """Keep up to `most` freed bytes for the next picture, and give back whatever is more.

    By default each large block comes fresh from the system, a page fault for every 4 KiB: that
    was a third of the time of a rendition. Only glibc has this; elsewhere nothing happens.
    """
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, most)
        mallopt(M_TRIM_THRESHOLD, most)
