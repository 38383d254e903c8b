"""Whose picture a fact is about: only `uploaded` says it, so that the last ones are remembered."""

from __future__ import annotations

from collections import OrderedDict

from imagesystem.bus import Bus
from imagesystem.events import Uploaded

__all__ = ["Owners"]

#: Images whose owner is remembered; about 200 bytes each.
REMEMBERED = 20_000


class Owners:
    """The owners of images, from what passes by, else from the log."""

    def __init__(self, bus: Bus, *, remembered: int = REMEMBERED) -> None:
        self._bus = bus
        self._remembered = remembered
        self._known: OrderedDict[str, str] = OrderedDict()

    def learn(self, image_id: str, owner: str) -> None:
        """Take note of what an `uploaded` said."""
        self._known[image_id] = owner
        self._known.move_to_end(image_id)
        while len(self._known) > self._remembered:
            self._known.popitem(last=False)

    async def of(self, image_id: str) -> str | None:
        """Return the owner, or None when the log does not know (any more): it was deleted."""
        if image_id in self._known:
            self._known.move_to_end(image_id)
            return self._known[image_id]
        found = await self._bus.latest(f"images.v1.{image_id}.uploaded")
        if found is None or not isinstance(found.event, Uploaded):
            return None
        self.learn(image_id, found.event.owner)
        return found.event.owner
