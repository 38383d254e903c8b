"""Originals that pictures were made of lately, in memory, where the workers see them.

Sites ask for a picture in many sizes: its bytes then come from NATS once, and no worker is sent
any.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

from imagesystem import logs
from imagesystem.arena import Arena, Piece
from imagesystem.events import Uploaded

from image_service.originals import Originals

__all__ = ["Negative", "Negatives", "arena_of"]

log = logs.get(__name__)

#: An original's bytes, as a worker is given them.
Negative: TypeAlias = Piece | bytes


@contextmanager
def arena_of(size: int) -> Iterator[Arena | None]:
    """Give `size` bytes that workers can see; None where the system has no such memory."""
    arena = None
    if size:
        try:
            arena = Arena(size)
        except OSError as error:
            log.warning("originals_not_kept", error=str(error))
    try:
        yield arena
    finally:
        if arena is not None:
            arena.close()


class Negatives:
    """By image; without an arena each comes from where originals are stored."""

    def __init__(self, originals: Originals, arena: Arena | None = None) -> None:
        self._originals = originals
        self._arena = arena

    @asynccontextmanager
    async def of(self, original: Uploaded) -> AsyncIterator[Negative]:
        """Give an original to workers until the block is left; raises as `Originals.whole`."""
        if self._arena is None:
            yield await self._originals.whole(original)
            return
        piece = self._arena.get(original.image_id)
        if piece is None:
            data = await self._originals.whole(original)
            piece = self._arena.put(original.image_id, data)
            if piece is None:
                yield data
                return
        with self._arena.holding(piece):
            yield piece

    def drop(self, image_id: str) -> None:
        """Forget an image's bytes."""
        if self._arena is not None:
            self._arena.drop(image_id)
