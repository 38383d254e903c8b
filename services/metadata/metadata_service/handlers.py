"""What is done about each event heard."""

from __future__ import annotations

from imagesystem import ids, logs
from imagesystem.bus import Received
from imagesystem.errors import Permanent
from imagesystem.events import Event, Fact

from metadata_service.measures import Measures
from metadata_service.read_model import ReadModel

__all__ = ["FACTS", "Handlers"]

log = logs.get(__name__)

#: The durable consumer.
FACTS = "metadata-facts"


class Handlers:
    """One method per durable consumer of this service."""

    def __init__(self, read_model: ReadModel, measures: Measures) -> None:
        self._read_model = read_model
        self._measures = measures

    async def fact(self, received: Received[Event]) -> None:
        """Take a fact into its image's document; returns when that is durable. Idempotent."""
        document = await self._read_model.apply(_fact(received))
        if document is not None and document.uploaded is not None:
            seconds = (ids.now() - document.uploaded.uploaded_at).total_seconds()
            self._measures.upload_to_ready.labels(document.status).observe(max(0.0, seconds))
            log.info("image_ready", status=document.status, seconds=round(seconds, 3))


def _fact(received: Received[Event]) -> Received[Fact]:
    if not isinstance(received.event, Fact):
        raise Permanent(f"{received.subject} carries no fact", code="not_a_fact")
    return received  # type: ignore[return-value]
