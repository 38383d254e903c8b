"""For tests: a service's app with its lifespan, called without a socket."""

from __future__ import annotations

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

    async with app.lifespan():
        transport = httpx.ASGITransport(app=cast("Any", app), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            yield http
