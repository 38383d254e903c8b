"""What is done about each event heard."""

from __future__ import annotations

from imagesystem import logs
from imagesystem.bus import Received
from imagesystem.events import Event
from imagesystem.events import image_of as image_of_subject

from image_service.cache import RenditionCache

__all__ = ["Handlers"]

log = logs.get(__name__)


class Handlers:
    """One method per durable consumer of this service."""

    def __init__(self, cache: RenditionCache) -> None:
        self._cache = cache

    async def image_deleted(self, received: Received[Event]) -> None:
        """Drop everything cached of an image that was deleted. Idempotent."""
        image_id = image_of_subject(received.subject)
        if image_id is None:
            return
        dropped = await self._cache.drop(image_id)
        log.info("renditions_dropped", image_id=image_id, renditions=dropped)
