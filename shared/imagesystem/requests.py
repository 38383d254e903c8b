"""Request bodies that go wrong in ways that the framework does not foresee."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from litestar import Request
from litestar.exceptions import ClientException

from imagesystem.errors import Rejected

__all__ = ["JsonRequest", "patient"]

M = TypeVar("M")


class JsonRequest(Request[Any, Any, Any]):
    """A request whose body is 400 when it is not UTF-8, or nested beyond what can be read.

    (Litestar turns only the JSON decoder's own errors into a 400.)
    """

    async def json(self) -> Any:
        """Return the body as plain data."""
        try:
            return await super().json()
        except UnicodeDecodeError as error:
            raise ClientException("the body is not UTF-8") from error
        except RecursionError as error:
            raise ClientException("the body is nested too deeply") from error


def patient(
    receive: Callable[[], Awaitable[M]], idle_s: float, *, limit: str | None = None
) -> Callable[[], Awaitable[M]]:
    """Return ASGI's `receive` that raises `Rejected` 408 `body_timeout` after so many idle seconds.

    `limit`: what the settings call them, where they do.
    """

    async def received() -> M:
        try:
            async with asyncio.timeout(idle_s):
                return await receive()
        except TimeoutError as error:
            raise Rejected(
                408,
                "body_timeout",
                f"no byte of the body came for {idle_s:g} s",
                limit=limit,
                headers={"connection": "close"},
            ) from error

    return received
