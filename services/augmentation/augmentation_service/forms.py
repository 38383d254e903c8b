"""multipart/form-data (RFC 7578) with one picture and a few short fields, read as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from imagesystem.errors import Rejected
from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
)

from augmentation_service.bodies import Spool, too_large

__all__ = ["Limits", "read"]

FILE_FIELDS = ("file", "image")
MAX_PARTS = 32
#: A filename of 10 kB, percent-encoded, is still read (and of no interest).
MAX_HEADER_BYTES = 64 * 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of the picture, and of all other fields together; as in the settings."""

    max_upload_bytes: int
    max_request_bytes: int


def _malformed(what: str) -> Rejected:
    return Rejected(400, "malformed_multipart", f"the form cannot be read: {what}"[:300])


class _Reader:
    """Sorts the parts: the picture into `spool`, everything else into `fields`."""

    def __init__(self, spool: Spool, limits: Limits) -> None:
        self._spool = spool
        self._limits = limits
        self._name = ""
        self._seen: set[str] = set()
        self._fields: dict[str, bytearray] = {}
        self._field_bytes = 0

    def begin(self, name: str) -> None:
        # Browsers and curl write names in UTF-8; the parser took them for Latin-1.
        name = name.encode("latin-1", "replace").decode("utf-8", "replace")
        name = "file" if name in FILE_FIELDS else name
        if name in self._seen:
            raise Rejected(400, "repeated_field", f"the field {name[:64]!r} came twice")
        self._seen.add(name)
        self._name = name
        if name != "file":
            self._fields[name] = bytearray()

    async def take(self, piece: bytes) -> None:
        if self._name == "file":
            if self._spool.size + len(piece) > self._limits.max_upload_bytes:
                actual = self._spool.size + len(piece)
                raise too_large("MAX_UPLOAD_BYTES", self._limits.max_upload_bytes, actual)
            await self._spool.write(piece)
            return
        self._field_bytes += len(piece)
        if self._field_bytes > self._limits.max_request_bytes:
            raise too_large("MAX_REQUEST_BYTES", self._limits.max_request_bytes, self._field_bytes)
        self._fields[self._name] += piece

    def fields(self) -> dict[str, str]:
        if "file" not in self._seen:
            raise Rejected(400, "missing_file", "the form has no field `file` with a picture")
        try:
            return {name: bytes(value).decode() for name, value in self._fields.items()}
        except UnicodeDecodeError as error:
            raise _malformed("a field is not UTF-8") from error


async def read(
    body: AsyncIterator[bytes], boundary: str, spool: Spool, limits: Limits
) -> dict[str, str]:
    """Read a form: the picture (field `file` or `image`) into `spool`, return the other fields.

    Raises `Rejected`: 400 `malformed_multipart`, `missing_file`, `repeated_field`; 413
    `body_too_large`.
    """
    reader = _Reader(spool, limits)
    try:
        parser = PushMultipartParser(
            boundary,
            max_header_size=MAX_HEADER_BYTES,
            max_segment_count=MAX_PARTS,
            header_charset="latin-1",
        )
        with parser:
            async for piece in body:
                for found in parser.parse(piece):
                    if isinstance(found, MultipartSegment):
                        reader.begin(found.name)
                    elif found is not None:
                        await reader.take(bytes(found))
    except ParserLimitReached as error:
        raise Rejected(413, "form_too_large", f"the form has too much: {error}") from error
    except MultipartError as error:
        raise _malformed(str(error)) from error
    return reader.fields()
