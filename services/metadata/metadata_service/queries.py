"""Queries as data: what a store is asked, free of any database's language."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from metadata_service.search.words import Wanted

__all__ = [
    "NEWEST",
    "RELEVANCE",
    "SORTS",
    "Condition",
    "Key",
    "Operator",
    "Page",
    "Position",
    "Query",
    "Row",
    "Sort",
    "among",
]

#: `equals`, `any_of` (one of; of a list: has one of), `all_of` (a list that has each), `at_least`
#: (≥), `at_most` (≤), `more` (>), `less` (<), `contains` (a part of the text, whatever the case),
#: `scored` ((name, least score) of labels), `counted` ((name, least count) of things),
#: `near_colour` ((CIELAB, ΔE) of dominant colours), `within` (a place in a box or circle),
#: `all_hold` (conditions).
Operator: TypeAlias = Literal[
    "equals",
    "any_of",
    "all_of",
    "at_least",
    "at_most",
    "more",
    "less",
    "contains",
    "scored",
    "counted",
    "near_colour",
    "within",
    "all_hold",
]
#: What an order goes by; a document as plain data, as the store keeps it.
Key: TypeAlias = datetime | float | int
Row: TypeAlias = dict[str, Any]


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """`field` (dotted path in the document) compared with `value`; `negated`: must not be so."""

    field: str
    operator: Operator
    value: Any
    negated: bool = False


class Sort(msgspec.Struct, frozen=True, kw_only=True):
    """An order: by a field that every picture has, then by image id."""

    name: str
    field: str
    description: str
    descending: bool = True
    key: Literal["moment", "number"] = "moment"


#: Newest upload first.
NEWEST = Sort(name="newest", field="uploaded.uploaded_at", description="latest upload first")
#: Best match first; only where there are words to match.
RELEVANCE = Sort(name="relevance", field="score", description="best match first", key="number")
SORTS: dict[str, Sort] = {
    sort.name: sort
    for sort in (
        NEWEST,
        Sort(
            name="oldest",
            field="uploaded.uploaded_at",
            description="earliest upload first",
            descending=False,
        ),
        Sort(name="taken", field="moment", description="last taken (or else uploaded) first"),
        Sort(
            name="taken_oldest",
            field="moment",
            description="first taken (or else uploaded) first",
            descending=False,
        ),
        Sort(
            name="largest",
            field="uploaded.size_bytes",
            description="most bytes first",
            key="number",
        ),
        Sort(
            name="smallest",
            field="uploaded.size_bytes",
            description="fewest bytes first",
            descending=False,
            key="number",
        ),
        RELEVANCE,
    )
}


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A place in an order: just after the document with this key and id."""

    key: Key
    image_id: str


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the pictures that meet all conditions, in order, after a position.

    `words`: which must be found, with `least_score` at least; `paths`: the parts of the documents
    that are needed (None: everything but variants, vectors and the words of searches).
    """

    conditions: tuple[Condition, ...] = ()
    words: Wanted | None = None
    least_score: float = 0.0
    sort: Sort = NEWEST
    after: Position | None = None
    limit: int = 50
    paths: tuple[str, ...] | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Documents as plain data, and where the next page begins, if there is more.

    Where words were looked for, a row has its `score`; `ranked`: where very many pictures have
    them, and the best of all come first, how many of the newest were ranked.
    """

    rows: list[Row]
    next: Position | None = None
    ranked: int | None = None


def among(query: Query, image_ids: Sequence[str], paths: tuple[str, ...] | None) -> Query:
    """Return what of a query is among some pictures, all on one page."""
    these = Condition(field="_id", operator="any_of", value=list(image_ids))
    return msgspec.structs.replace(
        query,
        conditions=(these, *query.conditions),
        sort=NEWEST,
        after=None,
        limit=len(image_ids),
        paths=paths,
    )
