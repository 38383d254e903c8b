"""What is known of originals that were asked for lately, as long as nothing is said of them.

The log is asked once and not at every request. Each replica hears when an image is uploaded or
deleted; what it may have missed while it was not connected, it asks for again.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
from imagesystem import logs
from imagesystem.bus.tailing import Doorbell
from imagesystem.errors import Unavailable
from imagesystem.events import Uploaded, image_of

__all__ = ["HEARD", "Known"]

log = logs.get(__name__)

#: What is listened for: the image service may hear this and nothing else.
HEARD = ("images.v1.*.uploaded", "images.v1.*.deleted")


class _Entry(msgspec.Struct, frozen=True):
    original: Uploaded
    until: float


class Known:
    """Facts by image id; empty unless `listening`."""

    MOST = 16_384
    #: Even what was never heard of again is looked up anew from time to time.
    LIFETIME_S = 60.0
    #: A word may be heard before the log has it, and later still before all its replicas do.
    UNSETTLED_S = 10.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._doorbell: Doorbell | None = None
        self._interruptions = 0
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._changed: OrderedDict[str, float] = OrderedDict()

    @asynccontextmanager
    async def listening(
        self, doorbell: Doorbell, changed: Callable[[str], None]
    ) -> AsyncIterator[None]:
        """Remember as long as the context is open; `changed` is told the ids of what was said."""

        def hear(subject: str) -> None:
            image_id = image_of(subject)
            if image_id is not None:
                self.forget(image_id)
                changed(image_id)

        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(doorbell.hearing(HEARD, hear))
                self._doorbell, self._interruptions = doorbell, doorbell.interruptions
            except Unavailable as error:  # an older nats-server.conf: slower, and right
                log.warning("facts_not_heard", error=error.message)
            try:
                yield
            finally:
                self._doorbell = None
                self._entries.clear()

    @property
    def moment(self) -> int:
        """A number that changes when something may have been missed: note it before you look."""
        return -1 if self._doorbell is None else self._doorbell.interruptions

    def get(self, image_id: str) -> Uploaded | None:
        """Return what the log says, None if it is to be asked."""
        if self.moment != self._interruptions:
            self._interruptions = self.moment
            self._entries.clear()
        entry = self._entries.get(image_id)
        if entry is None or entry.until < self._clock():
            return None
        return entry.original

    def put(self, original: Uploaded, moment: int) -> None:
        """Remember what the log said, looked up since `moment`."""
        image_id = original.image_id
        if self._doorbell is None or moment != self.moment:
            return
        if self._changed.get(image_id, -self.UNSETTLED_S) + self.UNSETTLED_S > self._clock():
            return
        self._entries[image_id] = _Entry(original, self._clock() + self.LIFETIME_S)
        self._entries.move_to_end(image_id)
        if len(self._entries) > self.MOST:
            self._entries.popitem(last=False)

    def forget(self, image_id: str) -> None:
        """Ask the log from now on: something was said of the image."""
        self._entries.pop(image_id, None)
        self._changed[image_id] = self._clock()
        self._changed.move_to_end(image_id)
        if len(self._changed) > self.MOST:
            self._changed.popitem(last=False)
