"""HTTP: parse, call, answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from imagesystem.errors import Rejected
from imagesystem.ids import parse_image_id
from litestar import MediaType, Request, Response, get, patch
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, HeaderParameter, JSONBody, SkipValidation

from metadata_service.cursors import Cursors
from metadata_service.documents import Document
from metadata_service.edits import Edit
from metadata_service.etags import Precondition, etag, matches
from metadata_service.filters import FILTERS, conditions
from metadata_service.library import Library
from metadata_service.openapi import operation
from metadata_service.parameters import Parameter, read
from metadata_service.queries import NEWEST, Query
from metadata_service.settings import Settings
from metadata_service.views import ImageList, ImageView, encode, image_view

__all__ = ["ROUTES"]

AnyRequest = Request[Any, Any, Any]
IfMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match", description="ETag of the answer that the edit is based on, or *"
    ),
]
IfNoneMatch = Annotated[
    str | None,
    HeaderParameter(name="If-None-Match", description="ETags that you have: 304 if one is current"),
]
#: Kept, but asked for again each time: a document changes as facts arrive.
CACHE_CONTROL = "private, no-cache"
LONG = Annotated[str, msgspec.Meta(max_length=1000)]
POSITIVE = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
SECONDS = Annotated[float, msgspec.Meta(ge=0)]

PAGING: tuple[Parameter, ...] = (
    Parameter(name="limit", type=POSITIVE, description="pictures on a page (default 50)"),
    Parameter(name="cursor", type=LONG, description="`next` of the page before"),
)
LIST_PARAMETERS: dict[str, Parameter] = {row.name: row for row in PAGING} | FILTERS
IMAGE_PARAMETERS: dict[str, Parameter] = {
    row.name: row
    for row in (
        Parameter(
            name="wait",
            type=Literal["ready"],
            description="answer when every planned task is settled, or after `timeout`",
        ),
        Parameter(
            name="timeout",
            type=SECONDS,
            description="seconds to wait at most (default 10, up to 60); then the answer is "
            "what is known, with `status` pending",
        ),
    )
}


@get(
    "/metadata/images/list",
    operation_class=operation(LIST_PARAMETERS),
    responses={
        200: ResponseSpec(ImageList, generate_examples=False, description="A page, newest first")
    },
    summary="The pictures, newest first, page by page",
    tags=["images"],
)
async def list_images(
    request: AnyRequest,
    library: NamedDependency[SkipValidation[Library]],
    cursors: NamedDependency[SkipValidation[Cursors]],
    settings: NamedDependency[SkipValidation[Settings]],
) -> Response[bytes]:
    """Return the pictures that meet every filter.

    A page is stable while pictures are added: what came later is not on later pages.
    """
    given = read(request.query_params.multi_items(), LIST_PARAMETERS)
    limit = settings.list_default if given["limit"] is None else given["limit"]
    _within("LIST_MAX", settings.list_max, limit)
    sort, after = (NEWEST, None) if given["cursor"] is None else cursors.read(given["cursor"])
    page = await library.page(
        Query(conditions=conditions(given), sort=sort, after=after, limit=limit)
    )
    items = [image_view(document, variants=False) for document in page.documents]
    following = cursors.write(sort, page.next) if page.next else None
    return _json(encode(ImageList(items=items, next=following, count=len(items))))


@get(
    "/metadata/images/{image_id:str}",
    operation_class=operation(IMAGE_PARAMETERS),
    responses={
        200: ResponseSpec(ImageView, generate_examples=False, description="Everything known")
    },
    summary="Everything known about one picture",
    tags=["images"],
)
async def show_image(
    request: AnyRequest,
    image_id: FromPath[str],
    library: NamedDependency[SkipValidation[Library]],
    settings: NamedDependency[SkipValidation[Settings]],
    if_none_match: IfNoneMatch = None,
) -> Response[bytes]:
    """Return what every service has said about a picture so far."""
    image_id = parse_image_id(image_id)
    given = read(request.query_params.multi_items(), IMAGE_PARAMETERS)
    if given["wait"] is None:
        document = await library.picture(image_id)
    else:
        timeout = settings.wait_default_s if given["timeout"] is None else given["timeout"]
        _within("WAIT_MAX_S", settings.wait_max_s, timeout)
        document = await library.ready_picture(image_id, timeout)
    return _shown(document, if_none_match=if_none_match)


@patch(
    "/metadata/images/{image_id:str}",
    responses={
        200: ResponseSpec(
            ImageView, generate_examples=False, description="Applied: the picture as it is now"
        ),
        202: ResponseSpec(
            ImageView,
            generate_examples=False,
            description="Accepted, and applied as soon as possible",
        ),
    },
    summary="Change tags, caption, rating, favourite and position",
    tags=["images"],
)
async def edit_image(
    request: AnyRequest,
    image_id: FromPath[str],
    data: JSONBody[Edit],
    library: NamedDependency[SkipValidation[Library]],
    if_match: IfMatch = None,
) -> Response[bytes]:
    """Replace what is given; what is left out stays as it is.

    With `If-Match`, only if nobody else has edited the picture since that ETag was given.
    """
    read(request.query_params.multi_items(), {})
    document, applied = await library.edit(parse_image_id(image_id), data, Precondition(if_match))
    return _shown(document, status=200 if applied else 202)


ROUTES = [list_images, show_image, edit_image]


def _shown(
    document: Document, *, status: int = 200, if_none_match: str | None = None
) -> Response[bytes]:
    body = encode(image_view(document))
    headers = {"etag": etag(document.seq.get("annotated", 0), body)}
    if matches(if_none_match, headers["etag"]):
        return _json(b"", status=304, headers=headers)
    return _json(body, status=status, headers=headers)


def _json(
    body: bytes, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response[bytes]:
    return Response(
        body,
        status_code=status,
        media_type=MediaType.JSON,
        headers={"cache-control": CACHE_CONTROL, **(headers or {})},
    )


def _within(limit: str, allowed: float, actual: float) -> None:
    if actual > allowed:
        raise Rejected(
            400,
            "limit_exceeded",
            f"{limit} is {allowed:g}, this asks for {actual:g}",
            limit=limit,
            allowed=f"{allowed:g}",
            actual=f"{actual:g}",
        )
