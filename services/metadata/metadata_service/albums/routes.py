"""HTTP of albums: parse, call, answer."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

import msgspec
from imagesystem.errors import Rejected
from imagesystem.ids import parse_image_id
from litestar import MediaType, Request, Response, delete, get, patch, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, HeaderParameter, JSONBody, SkipValidation
from msgspec import UNSET

from metadata_service.albums.desk import Desk
from metadata_service.albums.shelf import Album
from metadata_service.albums.views import (
    AlbumEdit,
    AlbumList,
    AlbumPage,
    AlbumView,
    Arrangement,
    NewAlbum,
    album_name,
    album_view,
)
from metadata_service.etags import Precondition
from metadata_service.library import Library
from metadata_service.openapi import operation
from metadata_service.parameters import Parameter, read
from metadata_service.views import LISTED, image_view

__all__ = ["ROUTES", "provide_albums"]

AnyRequest = Request[Any, Any, Any]
IfMatch = Annotated[
    str | None,
    HeaderParameter(name="If-Match", description="ETag of the album that you have seen, or *"),
]
LIMIT = Annotated[int, msgspec.Meta(ge=1, le=1000)]
CURSOR = Annotated[str, msgspec.Meta(max_length=100)]
PAGING: dict[str, Parameter] = {
    row.name: row
    for row in (
        Parameter(name="limit", type=LIMIT, description="pictures on a page (1000)", default=50),
        Parameter(name="cursor", type=CURSOR, description="`next` of the page before"),
    )
}
MAX_BODY = 1024 * 1024
_CURSOR = re.compile(r"(-?0x[01]\.[0-9a-f]+p[+-]\d{1,4})_([0-9a-f-]{36})")
_encode = msgspec.json.Encoder().encode


SHOWN = {200: ResponseSpec(AlbumView, generate_examples=False, description="As it is now")}


@post(
    "/metadata/albums",
    status_code=201,
    responses={201: ResponseSpec(AlbumView, generate_examples=False, description="Made")},
    summary="Make an album",
    tags=["albums"],
)
async def create_album(
    request: AnyRequest,
    data: JSONBody[NewAlbum],
    albums: NamedDependency[SkipValidation[Desk]],
) -> Response[bytes]:
    """Make an album, empty or with pictures."""
    read(request.query_params.multi_items(), {})
    images = _ids(data.images)
    revision, album = await albums.create(data.title, data.description)
    if images:
        try:
            revision, album = await albums.arrange(
                album.album_id, add=images, remove=[], before=None, precondition=Precondition(None)
            )
        except Rejected:
            await albums.remove(album.album_id, Precondition(None))
            raise
    location = f"/metadata/albums/{album.album_id}"
    return await _shown(albums, revision, album, status=201, location=location)


@get(
    "/metadata/albums",
    responses={200: ResponseSpec(AlbumList, generate_examples=False, description="All of them")},
    summary="All albums",
    tags=["albums"],
)
async def list_albums(
    request: AnyRequest, albums: NamedDependency[SkipValidation[Desk]]
) -> Response[bytes]:
    """Return all albums, newest first, without what is in them."""
    read(request.query_params.multi_items(), {})
    items = [album_name(album) for _, album in await albums.shelf.all()]
    return _json(AlbumList(items=items, count=len(items)))


@get(
    "/metadata/albums/{album_id:str}",
    operation_class=operation(PAGING),
    responses={200: ResponseSpec(AlbumPage, generate_examples=False, description="A page of it")},
    summary="An album and its pictures",
    tags=["albums"],
)
async def show_album(
    request: AnyRequest,
    album_id: FromPath[str],
    albums: NamedDependency[SkipValidation[Desk]],
    library: NamedDependency[SkipValidation[Library]],
) -> Response[bytes]:
    """Return an album and a page of its pictures, as they were put last."""
    given = read(request.query_params.multi_items(), PAGING)
    after = None if given["cursor"] is None else _place(given["cursor"])
    revision, album = await albums.shelf.get(album_id)
    members = await albums.members(album_id)
    rest = [each for each in members if after is None or (each.order, each.image_id) > after]
    page = rest[: given["limit"]]
    rows = await library.pictures([each.image_id for each in page])
    items = [
        image_view(row, LISTED) for each in page if (row := rows.get(each.image_id)) is not None
    ]
    more = len(rest) > len(page)
    view = msgspec.to_builtins(album_view(album, members), builtin_types=(datetime,)) | {
        "items": items,
        "next": f"{page[-1].order.hex()}_{page[-1].image_id}" if more else None,
        "count": len(items),
    }
    return _json(view, headers={"etag": _etag(revision)})


@patch(
    "/metadata/albums/{album_id:str}",
    responses=SHOWN,
    summary="Rename an album, choose its cover",
    tags=["albums"],
)
async def edit_album(
    request: AnyRequest,
    album_id: FromPath[str],
    data: JSONBody[AlbumEdit],
    albums: NamedDependency[SkipValidation[Desk]],
    if_match: IfMatch = None,
) -> Response[bytes]:
    """Change what is given. With `If-Match`, only if nobody has changed the album since."""
    read(request.query_params.multi_items(), {})
    cover = UNSET if data.cover is UNSET else parse_image_id(data.cover)
    precondition = Precondition(if_match)
    revision, album = await albums.rename(album_id, data.title, data.description, precondition)
    if cover is not UNSET:
        await albums.cover(album_id, cover)
    return await _shown(albums, revision, album)


@patch(
    "/metadata/albums/{album_id:str}/images",
    request_max_body_size=MAX_BODY,
    responses=SHOWN,
    summary="Put pictures into an album, in order, or take them out",
    tags=["albums"],
)
async def arrange_album(
    request: AnyRequest,
    album_id: FromPath[str],
    data: JSONBody[Arrangement],
    albums: NamedDependency[SkipValidation[Desk]],
    if_match: IfMatch = None,
) -> Response[bytes]:
    """Add, move and remove pictures. With `If-Match`, only if nobody has changed it since."""
    read(request.query_params.multi_items(), {})
    revision, album = await albums.arrange(
        album_id,
        add=_ids(data.add),
        remove=_ids(data.remove),
        before=None if data.before is None else parse_image_id(data.before),
        precondition=Precondition(if_match),
    )
    return await _shown(albums, revision, album)


@delete(
    "/metadata/albums/{album_id:str}",
    status_code=204,
    summary="Remove an album; its pictures stay",
    tags=["albums"],
)
async def remove_album(
    request: AnyRequest,
    album_id: FromPath[str],
    albums: NamedDependency[SkipValidation[Desk]],
    if_match: IfMatch = None,
) -> None:
    """Take every picture out and forget the album."""
    read(request.query_params.multi_items(), {})
    await albums.remove(album_id, Precondition(if_match))


ROUTES = [create_album, list_albums, show_album, edit_album, arrange_album, remove_album]


def _ids(texts: list[str]) -> list[str]:
    return [parse_image_id(text) for text in texts]


def _place(cursor: str) -> tuple[float, str]:
    match = _CURSOR.fullmatch(cursor)
    try:
        if match is None:
            raise ValueError(cursor)
        return float.fromhex(match[1]), match[2]
    except (ValueError, OverflowError) as error:
        raise Rejected(400, "malformed_cursor", "cursor is not one that was given") from error


def _etag(revision: int) -> str:
    return f'"{revision}"'


async def _shown(
    albums: Desk, revision: int, album: Album, *, status: int = 200, location: str | None = None
) -> Response[bytes]:
    view = album_view(album, await albums.members(album.album_id))
    headers = {"etag": _etag(revision)} | ({"location": location} if location else {})
    return _json(view, status=status, headers=headers)


def _json(
    body: Any, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response[bytes]:
    return Response(
        _encode(body),
        status_code=status,
        media_type=MediaType.JSON,
        headers={"cache-control": "private, no-cache", **(headers or {})},
    )


def provide_albums(state: State) -> Desk:
    """Return the desk that the lifespan opened."""
    desk: Desk = state.albums
    return desk
