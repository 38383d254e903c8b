"""A form with a picture and parameters, read as a stream: the picture waits in a spool."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from imagesystem import forms
from imagesystem.bodies import BodyLimit
from imagesystem.errors import Rejected
from imagesystem.forms import FILE_FIELDS, Part
from imagesystem.spools import Spool

from image_service.parameters.parsing import MAX_FIELDS

__all__ = ["FORM_BYTES", "Form", "read"]

#: What a form has besides the file: boundaries, headers of the parts, parameters.
FORM_BYTES = 64 * 1024


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """The picture's filename, and the other fields as they were said."""

    filename: str
    fields: tuple[tuple[str, str], ...]


class _Reader:
    """Sorts the parts: the picture into the spool, everything else into `fields`."""

    def __init__(self, spool: Spool, limit: BodyLimit) -> None:
        self._spool = spool
        self._limit = limit
        self._files = 0
        self._in_file = False
        self._filename = ""
        self._fields: list[tuple[str, bytearray]] = []

    def begin(self, part: Part) -> None:
        """Let the part before be, and take another one."""
        self._in_file = part.name in FILE_FIELDS
        if self._in_file:
            self._files += 1
            self._filename = part.filename or ""
            if self._files > 1:
                raise Rejected(
                    400, "too_many_files", "send one picture at a time", allowed=1, actual=2
                )
        elif part.filename is not None:
            raise Rejected(
                400, "unknown_field", f"the field {part.name[:64]!r} is a file; send one as `file`"
            )
        else:
            self._fields.append((part.name, bytearray()))

    async def take(self, piece: bytes) -> None:
        """Take the next bytes of the part."""
        if not self._in_file:
            self._fields[-1][1].extend(piece)  # (the body's limit bounds them all)
            return
        size = self._spool.size + len(piece)
        if size > self._limit.allowed:
            raise self._limit.refusal(size)
        await self._spool.write(piece)

    def form(self) -> Form:
        """Return what there was, when there are no more parts."""
        try:
            fields = tuple((name, text.decode()) for name, text in self._fields)
        except UnicodeDecodeError as error:
            raise Rejected(
                400, "malformed_multipart", "the form cannot be read: a field is not UTF-8"
            ) from error
        if not self._files:
            raise Rejected(
                400, "missing_file", "the form has no field `file` (or `image`) with a picture"
            )
        return Form(filename=self._filename or "image", fields=fields)


async def read(
    body: AsyncIterator[bytes], content_type: str, spool: Spool, limit: BodyLimit
) -> Form:
    """Read a form: the picture (field `file` or `image`) into `spool`, at most `limit` of it.

    Raises `Rejected` 400: `malformed_multipart`, `missing_file`, `too_many_files`,
    `unknown_field`; 413 `body_too_large`, `too_many_parts`; 415 `not_a_form`; `StoreFull`.
    """
    boundary, reader = forms.boundary_of(content_type), _Reader(spool, limit)
    async for found in forms.read(body, boundary, max_parts=1 + MAX_FIELDS):
        if isinstance(found, Part):
            reader.begin(found)
        else:
            await reader.take(found)
    await spool.finish()
    return reader.form()
