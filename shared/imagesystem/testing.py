"""For tests: a service's app with its lifespan, called without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from litestar import Litestar

if TYPE_CHECKING:
    import httpx

__all__ = ["client"]


@asynccontextmanager
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """Run the app's lifespan in this loop and yield an HTTP client that calls the app.

    (Litestar's own test client runs the app in another loop than the test's NATS and MongoDB
    clients, which are bound to theirs.)
    """
    import httpx  # noqa: PLC0415  a dependency of tests alone

    started, finished = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        # In a task of its own: a fixture's teardown runs in another task than its setup, and
        # the lifespan's cancel scope must be left in the task that entered it.
        async with app.lifespan():
            started.set()
            await finished.wait()

    life = asyncio.create_task(live())
    await asyncio.wait({life, asyncio.create_task(started.wait())}, return_when="FIRST_COMPLETED")
    try:
        if not life.done():
            transport = httpx.ASGITransport(app=cast("Any", app), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
                yield http
    finally:
        finished.set()
        await life
