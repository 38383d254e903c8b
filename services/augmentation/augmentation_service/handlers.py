"""What is done about each event heard."""

from __future__ import annotations

from imagesystem import logs
from imagesystem.bus import Received
from imagesystem.events import Event
from imagesystem.events import image_of as image_of_subject

from augmentation_service.variants import Variants

__all__ = ["Handlers"]

log = logs.get(__name__)


class Handlers:
    """One method per durable consumer of this service."""

    def __init__(self, variants: Variants) -> None:
        self._variants = variants

    async def image_deleted(self, received: Received[Event]) -> None:
        """Drop every variant of an image that was deleted. Idempotent."""
        image_id = image_of_subject(received.subject)
        if image_id is None:
            return
        dropped = await self._variants.drop(image_id)
        log.info("variants_dropped", image_id=image_id, variants=dropped)
