"""multipart/form-data (RFC 7578) with pictures and a few short fields, read as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from typing import TypeAlias

import msgspec
from imagesystem.errors import Rejected
from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
)

from augmentation_service.bodies import Spool, too_large

__all__ = ["Keep", "Limits", "read", "read_files"]

FILE_FIELDS = ("file", "files", "image", "images")
#: Fields that are no pictures.
MAX_FIELDS = 31
#: A filename of 10 kB, percent-encoded, is still read (and of no interest).
MAX_HEADER_BYTES = 64 * 1024

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


def _malformed(what: str) -> Rejected:
    return Rejected(400, "malformed_multipart", f"the form cannot be read: {what}"[:300])


def _text(raw: str) -> str:
    # Browsers and curl write names in UTF-8; the parser took them for Latin-1.
    return raw.encode("latin-1", "replace").decode("utf-8", "replace")


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

    def begin(self, segment: MultipartSegment) -> None:
        name = _text(segment.name)
        if name in FILE_FIELDS:
            self._begin_file(_text(segment.filename or ""))
            return
        if name in self._fields:
            raise Rejected(400, "repeated_field", f"the field {name[:64]!r} came twice")
        self._name = name
        self._fields[name] = bytearray()

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
        limits = self._limits
        if self._spool is not None:
            size = self._spool.size + len(piece)
            if size > limits.max_upload_bytes:
                raise too_large("MAX_UPLOAD_BYTES", limits.max_upload_bytes, size)
            await self._spool.write(piece)
            return
        self._field_bytes += len(piece)
        if self._field_bytes > limits.max_request_bytes:
            raise too_large(limits.fields_limit, limits.max_request_bytes, self._field_bytes)
        self._fields[self._name] += piece

    async def end(self) -> None:
        if self._spool is not None:
            spool, self._spool = self._spool, None
            await self._keep(self._filename, spool)

    def fields(self) -> dict[str, str]:
        if not self._files:
            raise Rejected(400, "missing_file", "the form has no field `file` with a picture")
        try:
            return {name: bytes(value).decode() for name, value in self._fields.items()}
        except UnicodeDecodeError as error:
            raise _malformed("a field is not UTF-8") from error


async def read(
    body: AsyncIterator[bytes], boundary: str, spool: Spool, limits: Limits
) -> dict[str, str]:
    """Read a form: the picture (field `file` or `image`) into `spool`, return the other fields.

    Raises as `read_files` does.
    """

    async def keep(filename: str, found: Spool) -> None:
        del filename, found

    return await _read(body, boundary, _Reader(keep, limits, lambda: spool), limits)


async def read_files(
    body: AsyncIterator[bytes], boundary: str, keep: Keep, limits: Limits
) -> dict[str, str]:
    """Read a form: each picture (fields `file` or `image`) goes to `keep`, one after the other.

    Returns the other fields. Raises `Rejected`: 400 `malformed_multipart`, `missing_file`,
    `repeated_field`; 413 `body_too_large`, `form_too_large`, `task_too_large`.
    """
    with ExitStack() as spools:

        def begin() -> Spool:
            spools.close()  # the one before was kept
            return spools.enter_context(Spool())

        return await _read(body, boundary, _Reader(keep, limits, begin), limits)


async def _read(
    body: AsyncIterator[bytes], boundary: str, reader: _Reader, limits: Limits
) -> dict[str, str]:
    try:
        parser = PushMultipartParser(
            boundary,
            max_header_size=MAX_HEADER_BYTES,
            max_segment_count=limits.max_files + MAX_FIELDS,
            header_charset="latin-1",
        )
        with parser:
            async for piece in body:
                for found in parser.parse(piece):
                    if isinstance(found, MultipartSegment):
                        reader.begin(found)
                    elif found is not None:
                        await reader.take(bytes(found))
                    else:
                        await reader.end()
    except ParserLimitReached as error:
        raise Rejected(413, "form_too_large", f"the form has too much: {error}") from error
    except MultipartError as error:
        raise _malformed(str(error)) from error
    return reader.fields()
