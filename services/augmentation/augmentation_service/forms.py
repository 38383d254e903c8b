"""Forms with pictures and a few short fields, read as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from typing import TypeAlias

import msgspec
from imagesystem import forms
from imagesystem.bodies import BodyLimit
from imagesystem.errors import Rejected
from imagesystem.forms import Part
from imagesystem.spools import Spool, Spools

__all__ = ["Keep", "Limits", "read", "read_files"]

FILE_FIELDS = ("file", "files", "image", "images")
#: Fields that are no pictures.
MAX_FIELDS = 31

#: Takes a picture's filename and its bytes, as soon as they are all there.
Keep: TypeAlias = Callable[[str, Spool], Awaitable[None]]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of a picture, and of all other fields together; how many pictures.

    `fields_limit` and `files_limit` are what the settings call them.
    """

    max_upload_bytes: int
    max_request_bytes: int
    max_files: int = 1
    fields_limit: str = "MAX_REQUEST_BYTES"
    files_limit: str = "files"


class _Reader:
    """Sorts the parts: pictures into spools, everything else into `fields`."""

    def __init__(self, keep: Keep, limits: Limits, begin: Callable[[], Spool]) -> None:
        self._keep = keep
        self._begin = begin
        self._limits = limits
        self._spool: Spool | None = None
        self._filename = ""
        self._files = 0
        self._name = ""
        self._fields: dict[str, bytearray] = {}
        self._field_bytes = 0

    async def begin(self, part: Part) -> None:
        """Let the part before be, and take another one."""
        await self._end()
        if part.name in FILE_FIELDS:
            self._begin_file(part.filename or "")
            return
        if part.name in self._fields:
            raise Rejected(400, "repeated_field", f"the field {part.name[:64]!r} came twice")
        self._name = part.name
        self._fields[part.name] = bytearray()

    def _begin_file(self, filename: str) -> None:
        self._files += 1
        if self._files > self._limits.max_files:
            if self._limits.max_files == 1:
                raise Rejected(400, "repeated_field", "the field 'file' came twice")
            raise Rejected(
                413,
                "task_too_large",
                f"more than {self._limits.max_files} pictures are not accepted",
                limit=self._limits.files_limit,
                allowed=self._limits.max_files,
                actual=self._files,
            )
        self._spool, self._filename = self._begin(), filename

    async def take(self, piece: bytes) -> None:
        """Take the next bytes of the part."""
        limits = self._limits
        if self._spool is not None:
            size = self._spool.size + len(piece)
            if size > limits.max_upload_bytes:
                raise _limit("MAX_UPLOAD_BYTES", limits.max_upload_bytes).refusal(size)
            await self._spool.write(piece)
            return
        self._field_bytes += len(piece)
        if self._field_bytes > limits.max_request_bytes:
            raise _limit(limits.fields_limit, limits.max_request_bytes).refusal(self._field_bytes)
        self._fields[self._name] += piece

    async def fields(self) -> dict[str, str]:
        """Return the fields that are no pictures, when there are no more parts."""
        await self._end()
        if not self._files:
            raise Rejected(400, "missing_file", "the form has no field `file` with a picture")
        try:
            return {name: bytes(value).decode() for name, value in self._fields.items()}
        except UnicodeDecodeError as error:
            raise Rejected(
                400, "malformed_multipart", "the form cannot be read: a field is not UTF-8"
            ) from error

    async def _end(self) -> None:
        if self._spool is not None:
            spool, self._spool = self._spool, None
            await spool.finish()
            await self._keep(self._filename, spool)


def _limit(name: str, allowed: int) -> BodyLimit:
    return BodyLimit(name=name, allowed=allowed)


async def read(
    body: AsyncIterator[bytes], content_type: str, spool: Spool, limits: Limits
) -> dict[str, str]:
    """Read a form: the picture (field `file` or `image`) into `spool`, return the other fields.

    Raises as `read_files` does.
    """

    async def keep(filename: str, found: Spool) -> None:
        del filename, found

    return await _read(body, content_type, _Reader(keep, limits, lambda: spool), limits)


async def read_files(
    body: AsyncIterator[bytes], content_type: str, keep: Keep, limits: Limits, spools: Spools
) -> dict[str, str]:
    """Read a form: each picture (fields `file` or `image`) goes to `keep`, one after the other.

    Returns the other fields. Raises `Rejected`: 400 `malformed_multipart`, `missing_file`,
    `repeated_field`; 413 `body_too_large`, `too_many_parts`, `task_too_large`; `StoreFull`.
    """
    with ExitStack() as opened:

        def begin() -> Spool:
            opened.close()  # the one before was kept
            return opened.enter_context(spools.open())

        return await _read(body, content_type, _Reader(keep, limits, begin), limits)


async def _read(
    body: AsyncIterator[bytes], content_type: str, reader: _Reader, limits: Limits
) -> dict[str, str]:
    boundary = forms.boundary_of(content_type)
    async for found in forms.read(body, boundary, max_parts=limits.max_files + MAX_FIELDS):
        if isinstance(found, Part):
            await reader.begin(found)
        else:
            await reader.take(found)
    return await reader.fields()
