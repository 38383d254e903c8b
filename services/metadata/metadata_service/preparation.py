"""Getting the database ready, however long it takes to come up.

The service starts, answers `/health/live` and serves what needs no database while MongoDB is
away; `/health/ready` says what is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from imagesystem import logs
from imagesystem.errors import Unavailable

from metadata_service.store import Store

__all__ = ["Preparation"]

log = logs.get(__name__)

#: Between attempts; each waits for the server selection timeout besides.
PAUSE_S = 1.0
#: An answer later than this is none, for `/health/ready`.
CHECK_S = 2.5


class Preparation:
    """Prepares a store once it answers; `check` says what is missing, for `/health/ready`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._missing: str | None = "mongodb is being prepared"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Preparation]:
        """Prepare in the background until it is done or the block is left."""
        preparing = asyncio.create_task(self._prepare(), name="prepare-store")
        try:
            yield self
        finally:
            preparing.cancel()
            await asyncio.gather(preparing, return_exceptions=True)

    async def check(self) -> str | None:
        """Return one line that says why the store cannot be used, or None."""
        if self._missing is not None:
            return self._missing
        try:
            async with asyncio.timeout(CHECK_S):
                await self._store.ping()
        except Unavailable as error:
            return error.message
        except TimeoutError:
            return f"mongodb has not answered for {CHECK_S:g} s"
        return None

    async def _prepare(self) -> None:
        while True:
            try:
                await self._store.prepare()
            except Exception as error:  # noqa: BLE001  said in /ready and in the log, tried again
                line = f"mongodb is not prepared: {error}"
                if line != self._missing:
                    log.warning("store_not_prepared", error=str(error))
                self._missing = line
                await asyncio.sleep(PAUSE_S)
            else:
                self._missing = None
                log.info("store_prepared")
                return
