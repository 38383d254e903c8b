"""Request bodies that are not JSON, in ways that the framework does not foresee."""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.exceptions import ClientException

__all__ = ["JsonRequest"]


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
