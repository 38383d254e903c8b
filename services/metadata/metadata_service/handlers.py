"""What is done about each event heard."""

from __future__ import annotations

from imagesystem.bus import Received
from imagesystem.errors import Permanent
from imagesystem.events import Event, Fact

from metadata_service.read_model import ReadModel

__all__ = ["FACTS", "Handlers"]

#: The durable consumer.
FACTS = "metadata-facts"


class Handlers:
    """One method per durable consumer of this service."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model

    async def fact(self, received: Received[Event]) -> None:
        """Take a fact into its image's document; returns when that is durable. Idempotent."""
        await self._read_model.apply(_fact(received))


def _fact(received: Received[Event]) -> Received[Fact]:
    if not isinstance(received.event, Fact):
        raise Permanent(f"{received.subject} carries no fact", code="not_a_fact")
    return received  # type: ignore[return-value]
