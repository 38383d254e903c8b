"""What is done about each event heard."""

from __future__ import annotations

from imagesystem.bus import Received
from imagesystem.errors import Permanent
from imagesystem.events import Deleted, Event

from registry_service.deletions import Deletions

__all__ = ["Handlers"]


class Handlers:
    """One method per durable consumer of this service."""

    def __init__(self, deletions: Deletions) -> None:
        self._deletions = deletions

    async def image_deleted(self, received: Received[Event]) -> None:
        """Carry the tombstone out: facts below it and the original go. Idempotent."""
        if not isinstance(received.event, Deleted):
            raise Permanent(f"{received.subject} is no tombstone", code="unexpected_event")
        await self._deletions.carry_out(received.event.image_id, received.sequence)
