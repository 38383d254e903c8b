"""What is done about each event heard."""

from __future__ import annotations

from imagesystem import ids
from imagesystem.bus import Bus, Received
from imagesystem.errors import Permanent
from imagesystem.events import Event, Fact, Failed

from metadata_service.read_model import ReadModel

__all__ = ["FACTS", "Handlers"]

#: The durable consumer, and the stage that fails when a fact cannot be taken in.
FACTS = "metadata-facts"


class Handlers:
    """One method per durable consumer of this service."""

    def __init__(self, read_model: ReadModel, bus: Bus) -> None:
        self._read_model = read_model
        self._bus = bus

    async def fact(self, received: Received[Event]) -> None:
        """Take a fact into its image's document; returns when that is durable. Idempotent."""
        await self._read_model.apply(_fact(received))

    async def gave_up(self, received: Received[Event], error: Permanent, attempts: int) -> None:
        """Say that a fact could not be taken in.

        Not about a failure: saying so would be the next one that cannot be taken in.
        """
        fact = _fact(received).event
        if isinstance(fact, Failed):
            return
        failed = Failed(
            image_id=fact.image_id,
            stage=FACTS,
            code=error.code,
            message=error.message[:1000],
            attempts=attempts,
            failed_at=ids.now(),
        )
        await self._bus.publish(failed)


def _fact(received: Received[Event]) -> Received[Fact]:
    if not isinstance(received.event, Fact):
        raise Permanent(f"{received.subject} carries no fact", code="not_a_fact")
    return received  # type: ignore[return-value]
