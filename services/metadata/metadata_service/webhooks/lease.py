"""One process at a time: a lease in a key-value bucket, renewed while it is held.

Nobody's clock is compared with anybody else's: who waits watches whether the lease is renewed, for
as long as it would take by its own clock. Two may hold it for a moment when one was stopped and
goes on; what they do must bear that (deliveries are at least once).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from imagesystem.errors import ImageSystemError, WrongSequence
from imagesystem.keyvalue import KeyValue

__all__ = ["EXPIRES_S", "RENEW_S", "Lease"]

#: Between renewals, and how long one lasts.
RENEW_S, EXPIRES_S = 2.0, 10.0
FREE = b""


class Lease:
    """A lease under `key`; `holder` is written into it for people who look."""

    def __init__(
        self,
        key_value: KeyValue,
        key: str,
        holder: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key_value = key_value
        self._key = key
        self._holder = holder.encode()
        self._clock = clock
        self._revision: int | None = None
        self._renewed_at = 0.0
        self._seen: tuple[int, float] | None = None

    async def hold(self) -> bool:
        """Take or renew it; return whether it is held. To be called every `RENEW_S`."""
        try:
            if self._revision is not None:
                await self._write(self._revision)
            else:
                await self._take()
        except WrongSequence:
            self._revision = None
        except ImageSystemError:
            # Nobody can renew it now, nor take it: it lasts as long as others must wait.
            if self._clock() - self._renewed_at > EXPIRES_S - RENEW_S:
                self._revision = None
        return self._revision is not None

    async def release(self) -> None:
        """Leave it to whoever asks next, at once."""
        if self._revision is not None:
            await self._key_value.put(self._key, FREE, expected=self._revision)
            self._revision = None

    async def _take(self) -> None:
        entry = await self._key_value.get(self._key)
        if entry is None or entry.value == FREE:
            await self._write(entry.revision if entry else 0)
            return
        now = self._clock()
        if self._seen is None or self._seen[0] != entry.revision:
            self._seen = (entry.revision, now)
        elif now - self._seen[1] > EXPIRES_S:
            await self._write(entry.revision)

    async def _write(self, expected: int) -> None:
        asked_at = self._clock()
        self._revision = await self._key_value.put(self._key, self._holder, expected=expected)
        self._renewed_at = asked_at
