"""Waiting for a document to become what somebody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from metadata_service.documents import Document
from metadata_service.store import Store

__all__ = ["Waiters"]

#: Seconds between looks into the database: the first, and the longest. This process is told of
#: what it applies itself; what another replica applied is seen by looking.
FIRST_LOOK_S = 0.1
LONGEST_LOOK_S = 2.0


class Waiters:
    """Those who wait for images, woken when the read model has applied a fact."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._bells: dict[str, set[asyncio.Event]] = {}

    def notify(self, image_ids: Iterable[str]) -> None:
        """Wake whoever waits for one of these images."""
        for image_id in image_ids:
            for bell in self._bells.get(image_id, ()):
                bell.set()

    async def until(
        self, image_id: str, enough: Callable[[Document | None], bool], timeout_s: float
    ) -> Document | None:
        """Return the document as soon as it is `enough`, or as it is after `timeout_s`."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout_s
        pause = FIRST_LOOK_S
        with self._bell(image_id) as bell:
            while True:
                bell.clear()
                document = await self._store.get(image_id)
                left = deadline - clock()
                if enough(document) or left <= 0:
                    return document
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(pause, left)):
                        await bell.wait()
                pause = min(pause * 1.5, LONGEST_LOOK_S)

    @contextmanager
    def _bell(self, image_id: str) -> Iterator[asyncio.Event]:
        bell = asyncio.Event()
        bells = self._bells.setdefault(image_id, set())
        bells.add(bell)
        try:
            yield bell
        finally:
            bells.discard(bell)
            if not bells:
                self._bells.pop(image_id, None)
