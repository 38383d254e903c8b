"""JSON Lines: `{"id": …, "tags": […], "caption": …}` on each."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from metadata_service.imports.rows import (
    LONGEST,
    TOO_LONG,
    Ignored,
    ImportedEdit,
    Unread,
    edit_in,
)
from metadata_service.views import ImageView

__all__ = ["JsonLines"]

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class JsonLines:
    """See `Reader`. JSON is UTF-8 (RFC 8259), whatever the request calls it."""

    def __init__(self, charset: str) -> None:
        del charset
        self.ignored = Ignored(ImageView.__struct_fields__)

    async def rows(
        self, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[tuple[int, ImportedEdit | Unread]]:
        """See `Reader.rows`."""
        number = 0
        async for line in _lines(chunks):
            number += 1
            if line is None:
                yield number, TOO_LONG
            elif line.strip():
                yield number, self._read(line.removeprefix(BOM_UTF8) if number == 1 else line)

    def _read(self, line: bytes) -> ImportedEdit | Unread:
        try:
            row = _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return Unread(code="invalid_row", detail=str(error))
        self.ignored.meet(row)
        return edit_in(row)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes | None]:
    """Yield lines as they come; None for one that is too long."""
    held, skipping = b"", False
    async for chunk in chunks:
        *whole, held = (held + chunk).split(b"\n")
        for line in whole:
            yield None if skipping or len(line) > LONGEST else line
            skipping = False
        if len(held) > LONGEST:
            held, skipping = b"", True
    if held or skipping:
        yield None if skipping else held
