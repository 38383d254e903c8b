"""HTTP: parse, call, answer."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from imagesystem.errors import Rejected
from litestar import MediaType, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import SkipValidation

from augmentation_service.answers import answer
from augmentation_service.descriptions import Catalogue
from augmentation_service.openapi import PreviewOperation
from augmentation_service.rendering import Rendered
from augmentation_service.studio import Studio

__all__ = ["ROUTES"]

AnyRequest = Request[Any, Any, Any]


@get(
    "/augmentation/operations",
    responses={200: ResponseSpec(Catalogue, generate_examples=False, description="All operations")},
    summary="What can be done to a picture",
    tags=["operations"],
)
async def list_operations(
    request: AnyRequest, catalogue: NamedDependency[SkipValidation[Catalogue]]
) -> Response[bytes]:
    """Return every operation with the JSON Schema of its parameters."""
    _no_query(request)
    body = msgspec.json.encode(catalogue)
    headers = {"etag": f'"{hashlib.sha256(body).hexdigest()[:32]}"', "cache-control": "no-cache"}
    given = request.headers.get("if-none-match", "")
    if headers["etag"] in given or given.strip() == "*":
        return Response(b"", status_code=304, media_type=MediaType.JSON, headers=headers)
    return Response(body, media_type=MediaType.JSON, headers=headers)


@post(
    "/augmentation/preview",
    status_code=200,
    request_max_body_size=None,  # the body is counted as it is read
    operation_class=PreviewOperation,
    summary="One variant of one picture, now",
    tags=["previews"],
)
async def preview(
    request: AnyRequest, studio: NamedDependency[SkipValidation[Studio]]
) -> Response[bytes]:
    """Make a variant: of an image by its id (JSON), or of a picture that is sent (a form)."""
    _no_query(request)
    kind, options = request.content_type
    rendered: Rendered
    if kind == "application/json":
        rendered = await studio.of_image(request.receive, request.headers)
    elif kind == "multipart/form-data":
        boundary = options.get("boundary", "")
        rendered = await studio.of_upload(request.receive, request.headers, boundary)
    else:
        raise Rejected(
            415,
            "unsupported_media_type",
            "send application/json with an `image_id`, or multipart/form-data with a `file`",
            headers={"accept-post": "application/json, multipart/form-data"},
        )
    return answer(rendered, request.accept)


def _no_query(request: AnyRequest) -> None:
    """Refuse parameters that would be ignored."""
    for name in request.query_params:
        raise Rejected(400, "unknown_parameter", f"there is no query parameter {name[:64]!r}")


ROUTES = [list_operations, preview]
