"""HTTP: parse, call, answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from imagesystem.errors import Rejected
from imagesystem.events import Uploaded
from litestar import HttpMethod, Request, get, route
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation
from litestar.response.base import ASGIResponse

from image_service import descriptions, orders, parameters, paths, srcset
from image_service.answers import Representation, answer, unchanged
from image_service.darkroom import key, source_of
from image_service.evidence import Evidence
from image_service.fallbacks import fallback
from image_service.filenames import renamed
from image_service.formats import FORMATS
from image_service.gallery import SMALL_BYTES, Gallery, cache_control
from image_service.openapi import PathOperation, PictureOperation
from image_service.orders import Order
from image_service.parameters import Wanted
from image_service.parameters.resolving import needs_evidence
from image_service.srcset import Srcset
from image_service.transform import transform

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
    order = orders.by_query(gallery, image_id, _raw_path(request), _query(request))
    return await _picture(request, gallery, order)


@route(
    f"{paths.PREFIX}{{options:path}}",
    http_method=[HttpMethod.GET, HttpMethod.HEAD],
    operation_class=PathOperation,
    operation_id=lambda _handler, method, _path: f"{method.lower()}_picture_by_path",
    summary="The same, with the parameters in the path",
    tags=["pictures"],
)
async def picture_by_path(
    request: AnyRequest, gallery: NamedDependency[SkipValidation[Gallery]]
) -> ASGIResponse:
    """Return what `{signature or unsafe}/{name:value}/…/{id}.{extension}` says."""
    raw = _raw_path(request).partition(paths.PREFIX)[2]
    return await _picture(request, gallery, orders.by_path(gallery, raw, _query(request)))


@get("/image/images/{image_id:str}/srcset", tags=["pictures"])
async def list_candidates(
    image_id: FromPath[str],
    request: AnyRequest,
    gallery: NamedDependency[SkipValidation[Gallery]],
) -> Srcset:
    """Return the `srcset` of an `<img>`: `?widths=320,640&…` and any other parameters.

    Where signatures are required, this needs one, and the URLs in the answer have theirs.
    """
    widths, rest = srcset.split(_query(request))
    order = orders.for_srcset(gallery, image_id, _raw_path(request), _query(request), rest)
    original = await gallery.originals.find(order.image_id)
    return srcset.make(original, widths, rest, order.wanted, gallery.signatures)


def _raw_path(request: AnyRequest) -> str:
    """Return the path as it was sent, percent-encoded."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.partition(b"?")[0].decode("latin-1")


def _query(request: AnyRequest) -> str:
    return request.scope["query_string"].decode("latin-1")


async def _picture(request: AnyRequest, gallery: Gallery, order: Order) -> ASGIResponse:
    if order.wanted is None:
        original = await gallery.originals.find(order.image_id)
        return await _original(request, gallery, original, order)
    try:
        original = await gallery.originals.find(order.image_id)
        return await _rendition(request, gallery, original, order, order.wanted)
    except Rejected as error:
        instead = await fallback(request, gallery, order.wanted, error)
        if instead is None:
            raise
        return instead


async def _original(
    request: AnyRequest, gallery: Gallery, original: Uploaded, order: Order
) -> ASGIResponse:
    representation = Representation(
        etag=f'"{original.sha256}"',
        media_type=original.media_type,
        filename=original.filename,
        modified_at=original.uploaded_at,
        cache_control=_kept_for(gallery, order, None),
    )
    if (not_modified := unchanged(request, representation)) is not None:
        return not_modified
    if request.method == "HEAD" or original.size_bytes > SMALL_BYTES:
        open_ = partial(gallery.originals.open, original)
        return await answer(request, representation, original.size_bytes, open_)
    name, data = await gallery.small_original(original)
    if order.seconds_left is None:
        headers = {**representation.described(), "content-length": str(len(data))}
        gallery.hot.keep(request.scope, headers, name, [original.image_id], rendition=False)
    return await answer(request, representation, len(data), partial(_in_one_piece, data))


async def _rendition(
    request: AnyRequest, gallery: Gallery, original: Uploaded, order: Order, wanted: Wanted
) -> ASGIResponse:
    evidence = await gallery.evidence(original.image_id) if needs_evidence(wanted) else None
    recipe = gallery.interpreter.resolve(
        wanted, source_of(original), request.headers.get("accept", ""), evidence
    )
    await gallery.find_others(recipe.sources())
    format_ = FORMATS[recipe.format]
    representation = Representation(
        etag=f'"{key(original.sha256, recipe)}"',
        media_type=format_.media_type,
        filename=renamed(original.filename, format_.extension),
        modified_at=original.uploaded_at,
        cache_control=_kept_for(gallery, order, evidence),
        negotiated=wanted.get("format") == parameters.AUTO,
    )
    # By the name alone: a client that has the rendition costs no decoding.
    if (not_modified := unchanged(request, representation)) is not None:
        return not_modified
    developed = await gallery.darkroom.develop(original, recipe)
    representation = representation.with_cache_status(developed.where)
    if developed.where == "memory" and evidence is None and order.seconds_left is None:
        headers = {**representation.described(), "content-length": str(len(developed.data))}
        shown = (original.image_id, *recipe.sources())
        gallery.hot.keep(request.scope, headers, developed.name, shown)
    return await answer(
        request,
        representation,
        len(developed.data),
        partial(_in_one_piece, developed.data),
    )


def _kept_for(gallery: Gallery, order: Order, evidence: Evidence | None) -> str:
    """Return the `Cache-Control`: shorter while facts are to come, and not beyond an expiry."""
    if evidence is None and order.seconds_left is None:
        return gallery.cache_control
    unsettled = evidence is not None and not evidence.ready
    age = gallery.unsettled_max_age_s if unsettled else gallery.max_age_s
    if order.seconds_left is not None:
        age = min(age, order.seconds_left)
    return cache_control(age, immutable=False)


async def _in_one_piece(data: bytes, start: int, stop: int) -> AsyncIterator[bytes]:
    async def pieces() -> AsyncIterator[bytes]:
        yield data[start:stop]

    return pieces()


ROUTES = [picture, picture_by_path, list_candidates, transform, *descriptions.ROUTES]
