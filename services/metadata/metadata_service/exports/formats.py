"""The formats of exports: views in, bytes out, a page at a time, in memory that does not grow."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias

import msgspec
from imagesystem.errors import Rejected

from metadata_service.queries import Row
from metadata_service.views import LISTED, Selection, encode

__all__ = ["FORMATS", "Format", "FormatName", "Writer", "joined"]

FormatName: TypeAlias = Literal["jsonl", "csv", "parquet"]


class Writer(Protocol):
    """Turns views into a file, piece by piece."""

    def write(self, views: Sequence[Row]) -> bytes:
        """Return what some more pictures add to the file."""

    def close(self) -> bytes:
        """Return how the file ends."""


class Column(msgspec.Struct, frozen=True):
    """A column of a table: what it is called, and its value in a view."""

    name: str
    value: Callable[[Row], Any]


def _named(name: str) -> Callable[[Row], Any]:
    return lambda view: view[name]


def _names(name: str) -> Callable[[Row], Any]:
    return lambda view: [each["name"] for each in view[name]]


def _place(axis: str) -> Callable[[Row], Any]:
    return lambda view: None if view["position"] is None else view["position"][axis]


COLUMNS: tuple[Column, ...] = (
    *(Column(name, _named(name)) for name in ("id", "owner", "status", "filename")),
    Column("media_type", _named("media_type")),
    *(Column(name, _named(name)) for name in ("size_bytes", "width", "height", "frames")),
    Column("sha256", _named("sha256")),
    *(Column(name, _named(name)) for name in ("uploaded_at", "taken_at")),
    Column("tags", _named("tags")),
    Column("caption", _named("caption")),
    Column("rating", _named("rating")),
    Column("favourite", _named("favourite")),
    Column("latitude", _place("latitude")),
    Column("longitude", _place("longitude")),
    Column("camera", _named("camera")),
    Column("kind", _named("kind")),
    Column("colours", _named("colours")),
    Column("labels", _names("labels")),
    Column("objects", _names("objects")),
    Column("faces", _named("faces")),
)
#: What has to be read for the columns.
FLAT = Selection.parse(
    "id,owner,status,filename,media_type,size_bytes,width,height,frames,sha256,uploaded_at,"
    "taken_at,tags,caption,rating,favourite,position,camera,kind,colours,labels,objects,faces"
)


def joined(texts: Iterable[str]) -> str:
    r"""Return several texts as one: `a;b`, where `\;` is a semicolon and `\\` a backslash."""
    return ";".join(text.replace("\\", "\\\\").replace(";", "\\;") for text in texts)


class Lines:
    """JSON Lines: a view on each."""

    def write(self, views: Sequence[Row]) -> bytes:
        """See `Writer.write`."""
        return b"".join(encode(view) + b"\n" for view in views)

    def close(self) -> bytes:
        """See `Writer.close`."""
        return b""


class Table:
    """CSV (RFC 4180) with a header, in UTF-8; times in RFC 3339, several values joined by `;`."""

    def __init__(self) -> None:
        self._begun = False

    def write(self, views: Sequence[Row]) -> bytes:
        """See `Writer.write`."""
        text = io.StringIO()
        writer = csv.writer(text)
        if not self._begun:
            writer.writerow(column.name for column in COLUMNS)
            self._begun = True
        for view in views:
            writer.writerow(_cell(column.value(view)) for column in COLUMNS)
        return text.getvalue().encode()

    def close(self) -> bytes:
        """See `Writer.close`."""
        return b"" if self._begun else self.write([])


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return joined(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _no_parquet() -> Writer:
    """Say that no Parquet is written here.

    The one library for it (pyarrow 26) ends the process with a segmentation fault once usearch,
    the index of vectors, is loaded in it as well.
    """
    raise Rejected(
        501,
        "parquet_not_available",
        "Parquet is not written here: ask for csv or jsonl and convert it (docs/how-to/search.md)",
        allowed="jsonl, csv",
    )


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """A format: its writer, its media type, and which fields it needs."""

    writer: Callable[[], Writer]
    media_type: str
    selection: Selection


FORMATS: dict[FormatName, Format] = {
    "jsonl": Format(writer=Lines, media_type="application/x-ndjson", selection=LISTED),
    "csv": Format(writer=Table, media_type="text/csv; charset=utf-8", selection=FLAT),
    "parquet": Format(
        writer=_no_parquet, media_type="application/vnd.apache.parquet", selection=FLAT
    ),
}
