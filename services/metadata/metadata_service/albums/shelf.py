"""What albums are called, in the key-value bucket `albums` (`metadata.albums.<id>`).

What is in an album is facts, one per picture. The revision of an album changes with everything
that is done to it: it is what `If-Match` guards.
"""

from __future__ import annotations

import re
from datetime import datetime

import msgspec
from imagesystem.errors import Rejected
from imagesystem.keyvalue import KeyValue

__all__ = ["Album", "Shelf"]

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOST = 10_000


class Album(msgspec.Struct, frozen=True, kw_only=True):
    """An album, without its pictures."""

    album_id: str
    title: str
    created_at: datetime
    updated_at: datetime
    description: str | None = None


class Shelf:
    """Reads and writes albums."""

    def __init__(self, albums: KeyValue) -> None:
        self._albums = albums

    async def all(self) -> list[tuple[int, Album]]:
        """Return every album with its revision, newest first."""
        entries = await self._albums.entries("metadata.albums.*", limit=MOST)
        found = [(entry.revision, _decode(entry.value)) for entry in entries]
        return sorted(found, key=lambda each: (each[1].created_at, each[1].album_id), reverse=True)

    async def count(self) -> int:
        """Return how many there are."""
        return await self._albums.count("metadata.albums.*")

    async def get(self, album_id: str) -> tuple[int, Album]:
        """Return an album and its revision; raises `Rejected` 404 `unknown_album`."""
        entry = None
        if _ID.fullmatch(album_id):
            entry = await self._albums.get(_key(album_id))
        if entry is None:
            raise Rejected(404, "unknown_album", f"there is no album {album_id[:64]!r}")
        return entry.revision, _decode(entry.value)

    async def put(self, album: Album, revision: int) -> int:
        """Write an album over that revision of it (0: it is new); returns the next revision."""
        value = msgspec.json.encode(album)
        return await self._albums.put(_key(album.album_id), value, expected=revision)

    async def remove(self, album_id: str) -> None:
        """Forget an album."""
        await self._albums.remove(_key(album_id))


def _key(album_id: str) -> str:
    return f"metadata.albums.{album_id}"


def _decode(value: bytes) -> Album:
    return msgspec.json.decode(value, type=Album)
