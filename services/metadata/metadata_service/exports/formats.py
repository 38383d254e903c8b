"""The formats of exports: views in, bytes out, a page at a time, in memory that does not grow."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from metadata_service.exports.columns import COLUMNS, FLAT
from metadata_service.exports.parquet import Press
from metadata_service.queries import Row
from metadata_service.views import LISTED, Selection, encode

__all__ = ["FORMATS", "Format", "FormatName", "Writer", "joined"]

FormatName: TypeAlias = Literal["jsonl", "csv", "parquet"]


class Writer(Protocol):
    """Turns views into a file, piece by piece."""

    async def write(self, views: Sequence[Row]) -> bytes:
        """Return what some more pictures add to the file."""

    async def close(self) -> bytes:
        """Return how the file ends."""


def joined(texts: Iterable[str]) -> str:
    r"""Return several texts as one: `a;b`, where `\;` is a semicolon and `\\` a backslash."""
    return ";".join(text.replace("\\", "\\\\").replace(";", "\\;") for text in texts)


class Lines:
    """JSON Lines: a view on each."""

    async def write(self, views: Sequence[Row]) -> bytes:
        """See `Writer.write`."""
        return b"".join(encode(view) + b"\n" for view in views)

    async def close(self) -> bytes:
        """See `Writer.close`."""
        return b""


class Table:
    """CSV (RFC 4180) with a header, in UTF-8; times in RFC 3339, several values joined by `;`."""

    def __init__(self) -> None:
        self._begun = False

    async def write(self, views: Sequence[Row]) -> bytes:
        """See `Writer.write`."""
        text = io.StringIO()
        writer = csv.writer(text)
        if not self._begun:
            writer.writerow(column.name for column in COLUMNS)
            self._begun = True
        for view in views:
            writer.writerow(_cell(column.value(view)) for column in COLUMNS)
        return text.getvalue().encode()

    async def close(self) -> bytes:
        """See `Writer.close`."""
        return b"" if self._begun else await self.write([])


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return joined(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """A format: how a file is begun, its media type, and which fields it needs."""

    begin: Callable[[Press], AbstractAsyncContextManager[Writer]]
    media_type: str
    selection: Selection


FORMATS: dict[FormatName, Format] = {
    "jsonl": Format(
        begin=lambda _: nullcontext(Lines()), media_type="application/x-ndjson", selection=LISTED
    ),
    "csv": Format(
        # `; charset=utf-8` is added by the framework, as to all that is text
        begin=lambda _: nullcontext(Table()),
        media_type="text/csv",
        selection=FLAT,
    ),
    "parquet": Format(
        begin=lambda press: press.open(),
        media_type="application/vnd.apache.parquet",
        selection=FLAT,
    ),
}
