"""Albums as people send and see them."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from metadata_service.albums.ordering import Member
from metadata_service.albums.shelf import Album
from metadata_service.views import ImageView

__all__ = [
    "AlbumEdit",
    "AlbumList",
    "AlbumName",
    "AlbumPage",
    "AlbumView",
    "Arrangement",
    "NewAlbum",
    "album_name",
    "album_view",
]


class NewAlbum(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new album is called, and what is in it at first, in this order."""

    title: str
    description: str | None = None
    images: list[str] = []


class AlbumEdit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change: fields that are left out stay; `cover`: one of its pictures."""

    title: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    cover: str | UnsetType = UNSET


class Arrangement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pictures to take out (`remove`) and to put in (`add`), in this order.

    They go to the end, or before another (`before`); those that are in it already move there.
    """

    add: list[str] = []
    remove: list[str] = []
    before: str | None = None


class AlbumView(msgspec.Struct, frozen=True, kw_only=True):
    """An album; `cover`: the picture that stands for it, null for an empty one."""

    id: str
    title: str
    description: str | None
    created_at: datetime
    updated_at: datetime
    size: int
    cover: str | None


class AlbumPage(AlbumView, frozen=True, kw_only=True):
    """An album and a page of its pictures, in their order; `next`: null on the last."""

    items: list[ImageView]
    next: str | None
    count: int


class AlbumName(msgspec.Struct, frozen=True, kw_only=True):
    """An album in the list of all."""

    id: str
    title: str
    description: str | None
    created_at: datetime
    updated_at: datetime


class AlbumList(msgspec.Struct, frozen=True, kw_only=True):
    """All albums, newest first."""

    items: list[AlbumName]
    count: int


def album_name(album: Album) -> AlbumName:
    """Return an album as the list of all has it."""
    return AlbumName(
        id=album.album_id,
        title=album.title,
        description=album.description,
        created_at=album.created_at,
        updated_at=album.updated_at,
    )


def album_view(album: Album, members: list[Member]) -> AlbumView:
    """Return an album with what follows from its pictures, which are in its order."""
    covers = [member for member in members if member.cover]
    cover = max(covers, key=lambda each: each.sequence) if covers else next(iter(members), None)
    return AlbumView(
        id=album.album_id,
        title=album.title,
        description=album.description,
        created_at=album.created_at,
        updated_at=album.updated_at,
        size=len(members),
        cover=cover.image_id if cover else None,
    )
