"""What comes to look for the like of: a picture as it is or as a file in a form, or JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from imagesystem import forms
from imagesystem.bodies import Body, BodyLimit
from litestar import Request

__all__ = ["content_type", "picture_in", "text_in"]

AnyRequest = Request[Any, Any, Any]

#: Bytes of JSON, and of what is around a picture in a form.
JSON_BYTES, FORM_BYTES = 1024 * 1024, 64 * 1024
#: Seconds without a byte of a body after which a request is given up.
IDLE_S = 60.0


def content_type(request: AnyRequest) -> str:
    """Return the media type of the body, without parameters."""
    told: str = request.headers.get("content-type", "")
    return told.partition(";")[0].strip().lower()


@asynccontextmanager
async def picture_in(request: AnyRequest, most: int) -> AsyncIterator[AsyncIterator[bytes]]:
    """Give the picture in a body in pieces, at most `most` bytes (MAX_UPLOAD_BYTES).

    Left by a `Rejected`, what is still to come is let go. Raises what `imagesystem.forms` and
    `imagesystem.bodies` say.
    """
    form = content_type(request) == "multipart/form-data"
    overhead = FORM_BYTES if form else 0
    limit = BodyLimit(name="MAX_UPLOAD_BYTES", allowed=most, overhead=overhead)
    async with Body(request.receive, request.headers, limit, IDLE_S) as body:
        if form:
            told = request.headers["content-type"]
            yield forms.one_file(body.read(), told, limit)
        else:
            yield body.read()


async def text_in(request: AnyRequest) -> bytes:
    """Return a body of JSON; raises `Rejected` 413 if it is too long."""
    limit = BodyLimit(name="body", allowed=JSON_BYTES)
    async with Body(request.receive, request.headers, limit, IDLE_S) as body:
        return await body.whole()
