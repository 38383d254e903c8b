"""The wiring of what looks alike: what is read, kept and searched."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from imagesystem.platform import Platform

from metadata_service.feeds.reading import Log
from metadata_service.following import Following
from metadata_service.settings import Settings
from metadata_service.similarity.gallery import Gallery
from metadata_service.similarity.keeping import Keeper
from metadata_service.similarity.looks import PATTERNS

__all__ = ["open_gallery"]


@asynccontextmanager
async def open_gallery(
    connected: Platform, log: Log, settings: Settings, changed: Callable[[str], None]
) -> AsyncIterator[tuple[Gallery, Following]]:
    """Follow all that looks alike until the block is left; `changed` hears of each image."""
    gallery = Gallery(
        precision=settings.vector_precision,
        graph_from=settings.approximate_from,
        changed=changed,
    )
    following = Following(connected.bus, PATTERNS, gallery.take, gallery.settle)
    folder = Path(settings.index_dir) / "similarity" if settings.index_dir else None
    keeper = Keeper(gallery, following, connected.bus, folder)
    await keeper.restore()
    async with keeper.running(), gallery.running(), following.running(log.tail):
        yield gallery, following
