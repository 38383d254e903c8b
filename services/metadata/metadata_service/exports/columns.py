"""The columns of tables: the same in CSV and in Parquet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import msgspec

from metadata_service.queries import Row
from metadata_service.views import Selection

__all__ = ["COLUMNS", "FLAT", "Column", "ColumnKind"]

ColumnKind: TypeAlias = Literal["text", "texts", "whole", "number", "truth", "moment"]


class Column(msgspec.Struct, frozen=True):
    """A column of a table: what it is called, what is in it, and its value in a view."""

    name: str
    kind: ColumnKind
    value: Callable[[Row], Any]


def _named(name: str, kind: ColumnKind) -> Column:
    return Column(name, kind, lambda view: view[name])


def _names(name: str) -> Column:
    return Column(name, "texts", lambda view: [each["name"] for each in view[name]])


def _place(axis: str) -> Column:
    def value(view: Row) -> Any:
        return None if view["position"] is None else view["position"][axis]

    return Column(axis, "number", value)


COLUMNS: tuple[Column, ...] = (
    *(_named(name, "text") for name in ("id", "owner", "status", "filename", "media_type")),
    *(_named(name, "whole") for name in ("size_bytes", "width", "height", "frames")),
    _named("sha256", "text"),
    *(_named(name, "moment") for name in ("uploaded_at", "taken_at")),
    _named("tags", "texts"),
    _named("caption", "text"),
    _named("rating", "whole"),
    _named("favourite", "truth"),
    *(_place(axis) for axis in ("latitude", "longitude")),
    *(_named(name, "text") for name in ("camera", "kind")),
    _named("colours", "texts"),
    *(_names(name) for name in ("labels", "objects")),
    _named("faces", "whole"),
)
#: What has to be read for the columns.
FLAT = Selection.parse(
    "id,owner,status,filename,media_type,size_bytes,width,height,frames,sha256,uploaded_at,"
    "taken_at,tags,caption,rating,favourite,position,camera,kind,colours,labels,objects,faces"
)
