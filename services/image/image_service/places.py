"""Who may work now: so many renditions at a time, and so many bytes of files and of pixels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from imagesystem import places as shared
from imagesystem.errors import Rejected

from image_service import libwebp
from image_service.recipes import Recipe, Source

__all__ = ["Places", "decoded_bytes"]

RETRY_AFTER_S = 2
#: From here on a file counts as large: no more of them are on their way than one for each worker,
#: and one more.
LARGE_FILE_BYTES = 6 * 1024**2
#: Pillow's, for all modes with more than one band.
BYTES_PER_PIXEL = 4
#: Where another library decodes, its pixels and Pillow's copy of them are there at once.
COPIED = {"image/png": 7, "image/webp": 7}
#: How many times smaller a picture is decoded of which this many times fewer pixels are wanted.
SCALES: dict[str, Callable[[float], float]] = {
    "image/jpeg": lambda factor: next((scale for scale in (8, 4, 2) if scale <= factor), 1),
    "image/webp": libwebp.reduction,
}


def decoded_bytes(source: Source, recipe: Recipe) -> int:
    """Return what the pixels of a source take while this is made of it, roughly."""
    pixels = source.width * source.height
    if recipe.animate:
        return pixels * source.frames * BYTES_PER_PIXEL
    if source.media_type in SCALES and recipe.crop is None and recipe.trim is None:
        longest = max(recipe.width or 0, recipe.height or 0)
        factor = min(source.width, source.height) / longest if longest else 1.0
        pixels = int(pixels / SCALES[source.media_type](factor) ** 2)
    return pixels * COPIED.get(source.media_type, BYTES_PER_PIXEL)


class Places:
    """Places at and before the workers, and room for decoded pixels; first come, first served.

    While `workers` are busy, the originals of the next renditions are fetched: of twice as many
    small files as of large ones. `max_waiting` may wait for a place: what comes then is refused.
    Whatever needs more than `max_bytes` is let in alone.
    """

    def __init__(
        self, workers: int, max_waiting: int, max_bytes: int, refused: Callable[[], None]
    ) -> None:
        def too_busy() -> Rejected:
            refused()
            return Rejected(
                429,
                "too_busy",
                "too many renditions are waiting for a worker",
                limit="MAX_WAITING",
                allowed=max_waiting,
                headers={"retry-after": str(RETRY_AFTER_S)},
            )

        self._places = shared.Places(2 * (workers + 1), max_waiting, too_busy)
        self._files = shared.Allowance((workers + 1) * LARGE_FILE_BYTES)
        self._room = shared.Allowance(max_bytes)
        self._workers = asyncio.Semaphore(workers)

    @asynccontextmanager
    async def taken(self, file_bytes: int = LARGE_FILE_BYTES) -> AsyncIterator[None]:
        """Wait for a place for a file; raises `Rejected` 429 `too_busy` when too many do."""
        async with self._places.taken(), self._files.taken(min(file_bytes, LARGE_FILE_BYTES)):
            yield

    @asynccontextmanager
    async def room(self, size: int) -> AsyncIterator[None]:
        """Wait for room for so many bytes of pixels and for a worker; whoever does has a place."""
        async with self._room.taken(size), self._workers:
            yield
