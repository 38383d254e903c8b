"""Queries as data: what a store is asked, free of any database's language."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from metadata_service.documents import Document

__all__ = ["NEWEST", "SORTS", "Condition", "Operator", "Page", "Position", "Query", "Sort"]

#: `equals`, `any_of` (one of), `all_of` (a list that has each), `at_least` (≥), `at_most` (≤),
#: `before` (<), `contains` (a part of the text, whatever the case).
Operator: TypeAlias = Literal[
    "equals", "any_of", "all_of", "at_least", "at_most", "before", "contains"
]


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """`field` (dotted path in the document) compared with `value` by `operator`."""

    field: str
    operator: Operator
    value: Any


class Sort(msgspec.Struct, frozen=True, kw_only=True):
    """An order: by a field that holds a time in every picture, then by image id."""

    name: str
    field: str
    descending: bool = True


#: Newest upload first.
NEWEST = Sort(name="newest", field="uploaded.uploaded_at")
SORTS: dict[str, Sort] = {sort.name: sort for sort in (NEWEST,)}


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A place in an order: just after the document with this key and id."""

    key: datetime
    image_id: str


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the pictures that meet all conditions, in order, after a position."""

    conditions: tuple[Condition, ...] = ()
    sort: Sort = NEWEST
    after: Position | None = None
    limit: int = 50


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Documents (without their variants) and where the next page begins, if there is more."""

    documents: list[Document]
    next: Position | None = None
