"""Facets: how often each value of a field occurs among the pictures that a query finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from metadata_service.filters import MEDIA_TYPES
from metadata_service.queries import Row

__all__ = ["FACETS", "VALUES", "Counts", "Facet", "FacetName", "Value", "named", "tallied"]

FacetName: TypeAlias = Literal[
    "camera",
    "colour",
    "faces",
    "format",
    "kind",
    "label",
    "lens",
    "object",
    "orientation",
    "owner",
    "status",
    "tag",
    "year",
]
#: Values of one facet that are told, most frequent first.
VALUES = 20


class Facet(msgspec.Struct, frozen=True, kw_only=True):
    """A field whose values are counted: `many` where a picture has several, `year` of a time.

    `names`: what values are called by the filter of the same name, if not as they are.
    """

    name: FacetName
    path: str
    many: bool = False
    year: bool = False
    names: Mapping[str, str] = {}


FORMAT_NAMES = {media_type: name for name, media_type in MEDIA_TYPES.items()}
FACETS: dict[str, Facet] = {
    facet.name: facet
    for facet in (
        Facet(name="tag", path="tags", many=True),
        Facet(name="label", path="labels.name", many=True),
        Facet(name="object", path="objects.name", many=True),
        Facet(name="colour", path="colours", many=True),
        Facet(name="kind", path="kind"),
        Facet(name="format", path="uploaded.media_type", names=FORMAT_NAMES),
        Facet(name="status", path="status"),
        Facet(name="orientation", path="orientation"),
        Facet(name="faces", path="faces"),
        Facet(name="camera", path="camera"),
        Facet(name="lens", path="lens"),
        Facet(name="owner", path="owner"),
        Facet(name="year", path="moment", year=True),
    )
}


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A value, and how many of the pictures counted have it."""

    value: str | int
    count: int


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The values by facet, most frequent first, among `counted` pictures."""

    counted: int
    values: dict[str, list[Value]]


def named(counts: Counts, facets: Iterable[Facet]) -> Counts:
    """Return the counts with the values called as filters call them."""
    values = dict(counts.values)
    for facet in facets:
        if facet.names:
            values[facet.name] = [
                Value(value=facet.names.get(str(each.value), each.value), count=each.count)
                for each in values[facet.name]
            ]
    return Counts(counted=counts.counted, values=values)


def tallied(rows: Sequence[Row], facets: Iterable[Facet]) -> Counts:
    """Return the counts among documents as plain data."""
    values: dict[str, list[Value]] = {}
    for facet in facets:
        found = Counter(value for row in rows for value in _values(row, facet))
        ranked = sorted(found.items(), key=lambda each: (-each[1], each[0]))
        values[facet.name] = [Value(value=value, count=count) for value, count in ranked[:VALUES]]
    return Counts(counted=len(rows), values=values)


def _values(row: Row, facet: Facet) -> list[Any]:
    name, _, below = facet.path.partition(".")
    found = row[name]
    if facet.many:
        return [each[below] if below else each for each in found]
    found = found[below] if below else found
    if facet.year:
        found = found.year
    return [] if found is None else [found]
