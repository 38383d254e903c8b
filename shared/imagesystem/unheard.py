"""Asking again when nobody heard.

While nats-server reloads its configuration, as it does when a subscriber is made or removed, an
account lacks JetStream's API for a moment, and a request is answered with "no responders" at
once. Nobody has seen it, so that sending it again repeats nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from imagesystem.errors import Unheard

__all__ = ["NOBODY", "until_heard"]

#: The status of the server's own answer to a request on whose subject nobody listens.
NOBODY = "503"
#: For how long nobody may listen before it counts, and the pause between two tries.
RELOAD_S, PAUSE_S = 2.0, 0.05

Answer = TypeVar("Answer")


async def until_heard(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Return what `ask` returns; where it raises `Unheard`, call it again for `RELOAD_S`."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + RELOAD_S
    while True:
        try:
            return await ask()
        except Unheard:
            if clock() > deadline:
                raise
            await asyncio.sleep(PAUSE_S)
