"""Pictures that kill workers, as those meet them who ask and wait."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from imagesystem import logs
from imagesystem.errors import Rejected
from imagesystem.lanes import WorkerDied

__all__ = ["Poison"]

R = TypeVar("R")
log = logs.get(__name__)

#: Seconds for which a picture is not tried again; so many are remembered.
LIFETIME_S, MOST = 300.0, 1024


class Poison:
    """Pictures that killed a worker twice lately: they are not tried at every request."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: OrderedDict[str, float] = OrderedDict()

    def refuse(self, picture: str) -> None:
        """Raise what `tried` raises if the picture of that name is remembered."""
        if self._until.get(picture, 0.0) > self._clock():
            raise _unprocessable()

    async def tried(self, picture: str, call: Callable[[], Awaitable[R]]) -> R:
        """Return what `call` returns, which has a worker look at the picture of that name.

        A first death may be somebody else's doing (out of memory): the call is made again. Raises
        `Rejected` 422 `unprocessable_picture` after the second, and from then on without a call.
        """
        self.refuse(picture)
        try:
            return await call()
        except WorkerDied:
            pass
        try:
            return await call()
        except WorkerDied as error:
            log.warning("unprocessable_picture", source=picture)
            self._remember(picture)
            raise _unprocessable() from error

    def _remember(self, picture: str) -> None:
        self._until[picture] = self._clock() + LIFETIME_S
        self._until.move_to_end(picture)
        while len(self._until) > MOST:
            self._until.popitem(last=False)


def _unprocessable() -> Rejected:
    return Rejected(
        422, "unprocessable_picture", "the picture cannot be processed: its worker process dies"
    )
