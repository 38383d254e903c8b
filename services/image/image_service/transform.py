"""Upload and transform in one call: `POST /image/transform`; nothing is kept."""

from __future__ import annotations

from functools import partial
from typing import Any

from imagesystem.bodies import Body, BodyLimit
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from litestar.response.base import ASGIResponse

from image_service import forms, parameters
from image_service.filenames import disposition, renamed
from image_service.formats import FORMATS
from image_service.forms import FORM_BYTES
from image_service.gallery import Gallery
from image_service.openapi import TransformOperation
from image_service.orders import wanted_of
from image_service.parameters import Recipe, Source, Wanted

__all__ = ["transform"]

#: The longest wait for the next bytes of a body.
IDLE_S = 30.0


@post(
    "/image/transform",
    status_code=200,
    request_max_body_size=None,
    operation_class=TransformOperation,
    tags=["pictures"],
)
async def transform(
    request: Request[Any, Any, Any], gallery: NamedDependency[SkipValidation[Gallery]]
) -> ASGIResponse:
    """Return a rendition of a file (field `file` or `image`) without keeping either.

    The parameters are those of `GET /image/images/{id}`, in the query or as fields of the form.
    """
    limit = BodyLimit(
        name="MAX_TRANSFORM_BYTES", allowed=gallery.max_transform_bytes, overhead=FORM_BYTES
    )
    query = request.scope["query_string"].decode("latin-1")
    with gallery.spools.open() as spool:
        async with Body(request.receive, request.headers, limit, IDLE_S) as body:
            told = request.headers.get("content-type", "")
            form = await forms.read(body.read(), told, spool, limit)
        wanted = wanted_of(gallery, request.url.path, query, form.fields)
        if (mark := wanted.get("watermark")) is not None:
            await gallery.find_others([mark])
        choose = partial(_chosen, wanted, request.headers.get("accept", ""))
        recipe, made = await gallery.darkroom.transform(spool.sha256, spool.whole, choose)
    format_ = FORMATS[recipe.format]
    return ASGIResponse(
        body=made,
        media_type=format_.media_type,
        headers={
            "cache-control": "no-store",
            "content-disposition": disposition(renamed(form.filename, format_.extension)),
            "content-length": str(len(made)),
            "x-content-type-options": "nosniff",
        },
    )


def _chosen(wanted: Wanted, accept: str, source: Source) -> Recipe:
    return parameters.resolve(wanted, source, accept)
