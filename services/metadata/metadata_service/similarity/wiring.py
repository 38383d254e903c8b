"""The wiring of what looks alike: what is read, kept and searched."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from imagesystem import ids
from imagesystem.platform import Platform

from metadata_service.duplicates.groups import Duplicates
from metadata_service.duplicates.herald import Herald
from metadata_service.feeds.reading import Log
from metadata_service.following import Following
from metadata_service.settings import Settings
from metadata_service.similarity.gallery import Gallery
from metadata_service.similarity.keeping import Keeper
from metadata_service.similarity.looks import PATTERNS
from metadata_service.similarity.mongo import open_vector_search
from metadata_service.similarity.recollection import recall
from metadata_service.store import Edition
from metadata_service.webhooks.lease import Lease

__all__ = ["open_gallery"]


@asynccontextmanager
async def open_gallery(
    connected: Platform, log: Log, documents: Edition, settings: Settings
) -> AsyncIterator[tuple[Gallery, Duplicates, Following]]:
    """Follow all that looks alike until the block is left; `documents` give it a head start."""
    # Where MongoDB is asked, a graph of our own would only be made for nothing.
    graph_from = settings.approximate_from if settings.vector_index == "memory" else sys.maxsize
    gallery = Gallery(precision=settings.vector_precision, graph_from=graph_from)
    duplicates = Duplicates(
        gallery, distance=settings.duplicate_distance, cosine=settings.duplicate_cosine
    )
    gallery.listen(duplicates.hear)

    async def settle() -> None:
        await gallery.settle()
        await duplicates.settle()

    async def begin() -> None:
        await recall(gallery, documents)

    following = Following(connected.bus, PATTERNS, gallery.take, settle, begin)
    lease = Lease(connected.key_value("bulk"), "metadata.duplicates", ids.new_id())
    herald = Herald(connected.bus, duplicates, gallery.looks, lease, lambda: following.behind)
    folder = Path(settings.index_dir) / "similarity" if settings.index_dir else None
    keeper = Keeper(gallery, following, connected.bus, folder)
    await keeper.restore()
    async with (
        keeper.running(),
        gallery.running(),
        herald.running(),
        open_vector_search(settings, gallery) as gallery.neighbours,
        following.running(log.tail),
    ):
        yield gallery, duplicates, following
