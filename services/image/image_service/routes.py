"""HTTP: parse, call, answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from imagesystem.events import Uploaded
from imagesystem.ids import parse_image_id
from litestar import HttpMethod, Request, route
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation
from litestar.response.base import ASGIResponse

from image_service import parameters
from image_service.answers import Representation, answer, unchanged
from image_service.darkroom import key
from image_service.filenames import renamed
from image_service.formats import FORMATS
from image_service.gallery import Gallery
from image_service.openapi import PictureOperation
from image_service.parameters import Wanted

__all__ = ["ROUTES"]

AnyRequest = Request[Any, Any, Any]


@route(
    "/image/images/{image_id:str}",
    http_method=[HttpMethod.GET, HttpMethod.HEAD],
    operation_class=PictureOperation,
    operation_id=lambda _handler, method, _path: f"{method.lower()}_picture",
    summary="The original, or with parameters a rendition",
    tags=["pictures"],
)
async def picture(
    image_id: FromPath[str],
    request: AnyRequest,
    gallery: NamedDependency[SkipValidation[Gallery]],
) -> ASGIResponse:
    """Return the original, byte for byte; with parameters, a rendition made from it."""
    image_id = parse_image_id(image_id)
    wanted = parameters.parse(request.scope["query_string"].decode("latin-1"))
    original = await gallery.originals.find(image_id)
    if wanted is None:
        return await _original(request, gallery, original)
    return await _rendition(request, gallery, original, wanted)


async def _original(request: AnyRequest, gallery: Gallery, original: Uploaded) -> ASGIResponse:
    representation = Representation(
        etag=f'"{original.sha256}"',
        media_type=original.media_type,
        filename=original.filename,
        modified_at=original.uploaded_at,
        cache_control=gallery.cache_control,
    )
    return unchanged(request, representation) or await answer(
        request,
        representation,
        original.size_bytes,
        partial(gallery.originals.open, original),
    )


async def _rendition(
    request: AnyRequest, gallery: Gallery, original: Uploaded, wanted: Wanted
) -> ASGIResponse:
    recipe = parameters.resolve(
        wanted,
        original.media_type,
        (original.width, original.height),
        request.headers.get("accept", ""),
    )
    format_ = FORMATS[recipe.format]
    representation = Representation(
        etag=f'"{key(original.sha256, recipe)}"',
        media_type=format_.media_type,
        filename=renamed(original.filename, format_.extension),
        modified_at=original.uploaded_at,
        cache_control=gallery.cache_control,
        negotiated=wanted.format == parameters.AUTO,
    )
    # By the name alone: a client that has the rendition costs no decoding.
    if (not_modified := unchanged(request, representation)) is not None:
        return not_modified
    developed = await gallery.darkroom.develop(original, recipe)
    return await answer(
        request,
        representation.with_cache_status(hit=developed.hit),
        len(developed.data),
        partial(_in_one_piece, developed.data),
    )


async def _in_one_piece(data: bytes, start: int, stop: int) -> AsyncIterator[bytes]:
    async def pieces() -> AsyncIterator[bytes]:
        yield data[start:stop]

    return pieces()


ROUTES = [picture]
