"""The picture in a request's body: a file in a form, or the id of an uploaded image."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated

import msgspec
from imagesystem import forms
from imagesystem.bodies import Body, BodyLimit
from imagesystem.errors import Rejected
from imagesystem.ids import parse_image_id
from imagesystem.spools import Spools
from litestar import Request
from litestar.datastructures import State

from inference_service.enquiries import Read
from inference_service.recognition import Recognition

__all__ = ["MOST_CHARACTERS", "Bodies"]

#: What a multipart body has besides the file, and what JSON may have.
FORM_BYTES, JSON_BYTES = 64 * 1024, 64 * 1024
#: Characters of the longest text; encoders read far fewer.
MOST_CHARACTERS = 2000
#: Seconds without a byte of a body after which a request is given up.
IDLE_S = 60.0


class Named(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An uploaded image, or a text, instead of a file."""

    image_id: str | msgspec.UnsetType = msgspec.UNSET
    text: (
        Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_CHARACTERS)] | msgspec.UnsetType
    ) = msgspec.UNSET


class Bodies:
    """Reads bodies; pictures of at most `most` bytes (MAX_UPLOAD_BYTES)."""

    def __init__(self, recognition: Recognition, most: int) -> None:
        self._recognition = recognition
        self._most = most
        self._spools = Spools()

    @asynccontextmanager
    async def asked_in(self, request: Request[None, None, State]) -> AsyncIterator[Read | str]:
        """Give what reads the picture that a body holds or names, or the text that it holds.

        Raises `Rejected`: 400 `invalid_request`, 404, 410, 415 `unsupported_media_type`, and what
        `imagesystem.forms` and `imagesystem.bodies` say.
        """
        kind = request.content_type[0]
        if kind == "multipart/form-data":
            async with self._file_in(request) as read:
                yield read
        elif kind == "application/json":
            yield await self._named_in(request)
        else:
            raise Rejected(
                415,
                "unsupported_media_type",
                "send multipart/form-data with a file, or application/json with an image_id",
                headers={"accept-post": "application/json, multipart/form-data"},
            )

    @asynccontextmanager
    async def _file_in(self, request: Request[None, None, State]) -> AsyncIterator[Read]:
        limit = BodyLimit(name="MAX_UPLOAD_BYTES", allowed=self._most, overhead=FORM_BYTES)
        with self._spools.open() as spool:
            async with Body(request.receive, request.headers, limit, IDLE_S) as body:
                told = request.headers["content-type"]
                async for piece in forms.one_file(body.read(), told, limit):
                    await spool.write(piece)
            await spool.finish()
            yield spool.whole

    async def _named_in(self, request: Request[None, None, State]) -> Read | str:
        limit = BodyLimit(name="body", allowed=JSON_BYTES)
        async with Body(request.receive, request.headers, limit, IDLE_S) as body:
            text = await body.whole()
        try:
            named = msgspec.json.decode(text, type=Named)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Rejected(400, "invalid_request", str(error)) from error
        if (named.image_id is msgspec.UNSET) == (named.text is msgspec.UNSET):
            raise Rejected(400, "invalid_request", "send an image_id or a text, one of them")
        if isinstance(named.text, str):
            return named.text
        image_id = parse_image_id(str(named.image_id))
        await self._recognition.uploaded(image_id)
        return partial(self._recognition.original, image_id)
