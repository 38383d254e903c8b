"""HTTP: parse, call, answer."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any, Literal

import msgspec
from imagesystem.ids import parse_image_id
from imagesystem.web import Ready
from litestar import MediaType, Request, Response, get, patch
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, HeaderParameter, JSONBody, SkipValidation

from metadata_service.edits import Edit
from metadata_service.etags import Precondition, etag, matches
from metadata_service.library import Library
from metadata_service.openapi import operation
from metadata_service.parameters import Parameter, read
from metadata_service.queries import Row
from metadata_service.search.asking import LONG, within
from metadata_service.settings import Settings
from metadata_service.views import WHOLE, ImageView, Selection, encode, image_view, plain

__all__ = ["ROUTES", "Pictures"]

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
#: The path of one picture, as the routes know it and as it is sent.
ABOVE = "/metadata/images/"
TEMPLATE = "/metadata/images/{image_id}"
PATH_CHARACTERS = len(ABOVE) + 36
#: What an ETag needs to know.
REVISION = ("seq.annotated",)
SECONDS = Annotated[float, msgspec.Meta(ge=0)]

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
        Parameter(
            name="fields",
            type=LONG,
            description="only these fields, with commas; parts of inferred, failed and exif by a "
            "dot; inferred.embedding.result.vector is only told when asked for",
        ),
    )
}


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
    selection = WHOLE if given["fields"] is None else Selection.parse(given["fields"])
    if given["wait"] is None:
        paths = None if selection is WHOLE else (*selection.paths, *REVISION)
        row = await library.picture(image_id, paths)
    else:
        timeout = settings.wait_default_s if given["timeout"] is None else given["timeout"]
        within("WAIT_MAX_S", settings.wait_max_s, timeout)
        row = plain(await library.ready_picture(image_id, timeout))
    return _shown(row, selection, if_none_match=if_none_match)


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
    return _shown(plain(document), WHOLE, status=200 if applied else 202)


ROUTES = [show_image, edit_image]


class Pictures:
    """Answers those who only want everything known about one picture, which most do.

    `web.create_app` takes it as a shortcut: what has parameters or comes from another origin is
    for `show_image`. `library` is what the lifespan opened.
    """

    library: Library | None = None

    def __call__(self, scope: Any) -> Awaitable[Ready] | None:
        """Return what will be the answer, None where the routes are to be asked."""
        path: str = scope["path"]
        library = self.library
        if (
            library is None
            or len(path) != PATH_CHARACTERS
            or scope["method"] != "GET"
            or scope["query_string"]
            or not path.startswith(ABOVE)
        ):
            return None
        if_none_match = None
        for name, value in scope["headers"]:
            if name == b"origin":
                return None
            if name == b"if-none-match":
                if_none_match = value.decode("latin-1")
        scope["path_template"] = TEMPLATE
        return self._answer(library, path[len(ABOVE) :], if_none_match)

    async def _answer(self, library: Library, image_id: str, if_none_match: str | None) -> Ready:
        row = await library.picture(parse_image_id(image_id))
        status, tag, body = _told(row, WHOLE, if_none_match)
        headers = [
            (b"content-type", b"application/json"),
            (b"cache-control", CACHE_CONTROL.encode()),
            (b"etag", tag.encode()),
        ]
        if status != 304:
            headers.append((b"content-length", str(len(body)).encode()))
        return Ready(status=status, headers=headers, body=body, route=TEMPLATE)


def _shown(
    row: Row, selection: Selection, *, status: int = 200, if_none_match: str | None = None
) -> Response[bytes]:
    found, tag, body = _told(row, selection, if_none_match)
    return Response(
        body,
        status_code=found if found == 304 else status,
        media_type=MediaType.JSON,
        headers={"cache-control": CACHE_CONTROL, "etag": tag},
    )


def _told(row: Row, selection: Selection, if_none_match: str | None) -> tuple[int, str, bytes]:
    """Return status, ETag and body of what is said of a picture."""
    body = encode(image_view(row, selection))
    tag = etag(row["seq"].get("annotated", 0), body)
    return (304, tag, b"") if matches(if_none_match, tag) else (200, tag, body)
