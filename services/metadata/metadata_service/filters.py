"""What the list of pictures can be narrowed by: one row per filter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from metadata_service.documents import Orientation
from metadata_service.parameters import COUNT, MOMENT, TEXT, Parameter
from metadata_service.queries import Condition, Operator

__all__ = ["FILTERS", "Filter", "conditions"]

#: The formats that the registry takes, and their media types.
MEDIA_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "avif": "image/avif",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
}
Format = Literal["jpeg", "png", "webp", "avif", "gif", "bmp", "tiff"]
MediaType = Literal[
    "image/jpeg", "image/png", "image/webp", "image/avif", "image/gif", "image/bmp", "image/tiff"
]
ListedStatus = Literal["pending", "ready", "partial", "failed"]
KindName = Literal["photo", "graphic", "document"]


class Filter(Parameter, frozen=True, kw_only=True):
    """A parameter that compares a field of the document."""

    field: str
    operator: Operator


def _bounds(name: str, field: str, meaning: str) -> tuple[Filter, Filter]:
    return (
        Filter(
            name=f"min_{name}",
            type=COUNT,
            field=field,
            operator="at_least",
            description=f"{meaning}, at least",
        ),
        Filter(
            name=f"max_{name}",
            type=COUNT,
            field=field,
            operator="at_most",
            description=f"{meaning}, at most",
        ),
    )


_ROWS: tuple[Filter, ...] = (
    Filter(
        name="owner",
        type=TEXT,
        field="owner",
        operator="equals",
        description="whose picture it is",
    ),
    Filter(
        name="tag",
        type=TEXT,
        field="tags",
        operator="all_of",
        repeatable=True,
        description="has this tag; several: has all of them",
    ),
    Filter(
        name="format",
        type=Format,
        field="uploaded.media_type",
        operator="any_of",
        repeatable=True,
        translate=MEDIA_TYPES.__getitem__,
        description="format of the original; several: any of them",
    ),
    Filter(
        name="media_type",
        type=MediaType,
        field="uploaded.media_type",
        operator="any_of",
        repeatable=True,
        description="media type of the original; several: any of them",
    ),
    Filter(
        name="status",
        type=ListedStatus,
        field="status",
        operator="any_of",
        repeatable=True,
        description="how far the analysis is; several: any of them",
    ),
    Filter(
        name="kind",
        type=KindName,
        field="kind",
        operator="any_of",
        repeatable=True,
        description="what kind of picture it looks like; several: any of them",
    ),
    Filter(
        name="orientation",
        type=Orientation,
        field="orientation",
        operator="equals",
        description="its shape as a viewer sees it",
    ),
    Filter(
        name="colour",
        type=TEXT,
        field="colours",
        operator="all_of",
        repeatable=True,
        translate=str.lower,
        description="name of a dominant colour (CSS); several: has all of them",
    ),
    *_bounds("width", "width", "width in pixels as a viewer sees it"),
    *_bounds("height", "height", "height in pixels as a viewer sees it"),
    *_bounds("bytes", "uploaded.size_bytes", "size of the original in bytes"),
    Filter(
        name="uploaded_after",
        type=MOMENT,
        field="uploaded.uploaded_at",
        operator="at_least",
        description="uploaded then or later (RFC 3339)",
    ),
    Filter(
        name="uploaded_before",
        type=MOMENT,
        field="uploaded.uploaded_at",
        operator="before",
        description="uploaded earlier than that (RFC 3339)",
    ),
    Filter(
        name="filename",
        type=TEXT,
        field="uploaded.filename",
        operator="contains",
        description="a part of the filename, whatever the case",
    ),
)

FILTERS: dict[str, Filter] = {row.name: row for row in _ROWS}
assert set(get_args(Format)) == set(MEDIA_TYPES)  # noqa: S101  two spellings of one list


def conditions(values: Mapping[str, Any]) -> tuple[Condition, ...]:
    """Return the conditions that the given parameters set; other names are not looked at."""
    return tuple(
        Condition(field=row.field, operator=row.operator, value=values[row.name])
        for row in _ROWS
        if values.get(row.name) is not None
    )
