"""What a request asks: parameters and the query language become one query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from imagesystem.errors import Rejected

from metadata_service.cursors import Cursors
from metadata_service.filters import FILTERS, conditions
from metadata_service.parameters import Parameter
from metadata_service.queries import NEWEST, RELEVANCE, SORTS, Query
from metadata_service.search.language import meaning
from metadata_service.settings import Settings
from metadata_service.views import LISTED, Selection

__all__ = ["FOUND_BY", "LISTED_BY", "PAGING", "asked", "found", "within"]

LONG = Annotated[str, msgspec.Meta(max_length=1000)]
POSITIVE = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
SCORE = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
SortName = Literal["newest", "oldest", "taken", "taken_oldest", "largest", "smallest", "relevance"]
assert set(SortName.__args__) == set(SORTS)  # type: ignore[attr-defined]  # noqa: S101

PAGING: tuple[Parameter, ...] = (
    Parameter(name="limit", type=POSITIVE, description="pictures on a page (default 50)"),
    Parameter(name="cursor", type=LONG, description="`next` of the page before"),
)
_SHAPE: tuple[Parameter, ...] = (
    *PAGING,
    Parameter(
        name="sort",
        type=SortName,
        description="; ".join(f"{sort.name}: {sort.description}" for sort in SORTS.values()),
    ),
    Parameter(
        name="fields",
        type=LONG,
        description="only these fields of each picture, with commas; parts of inferred, failed and "
        "exif by a dot (inferred.labels)",
    ),
    Parameter(
        name="total",
        type=bool,
        default=False,
        description="count all that is found as well (up to COUNT_MAX)",
    ),
)
_WORDS: tuple[Parameter, ...] = (
    Parameter(
        name="q",
        type=LONG,
        description="a query on one line: words, and terms as label:cat faces>1 -tag:private",
    ),
    Parameter(
        name="min_score",
        type=SCORE,
        description="leave out what fits the words of `q` less well (default 1), or what is "
        "further from `text`: the least cosine",
    ),
)
#: What says which pictures, and what the list takes besides.
FOUND_BY: dict[str, Parameter] = {row.name: row for row in _WORDS} | FILTERS
LISTED_BY: dict[str, Parameter] = {row.name: row for row in _SHAPE} | FOUND_BY
#: A word once in a long text is worth 1 (its weight is 2).
LEAST_SCORE = 1.0


def found(given: Mapping[str, Any]) -> Query:
    """Return which pictures the parameters ask for; raises `Rejected` 400."""
    wanted = conditions(given)
    if given.get("q") is None:
        return Query(conditions=wanted)
    said = meaning(given["q"])
    least = given.get("min_score")
    return Query(
        conditions=wanted + said.conditions,
        words=said.words,
        least_score=LEAST_SCORE if least is None else least,
    )


def asked(
    given: Mapping[str, Any], cursors: Cursors, settings: Settings, *, best_first: bool
) -> tuple[Query, Selection]:
    """Return the page that the parameters ask for, and which fields; raises `Rejected` 400.

    `best_first`: where words or a meaning are looked for and no order is given, the best match
    comes first. A meaning (`text`) knows no other order, and `min_score` is its own.
    """
    meant = given.get("text") is not None
    query = found({**given, "min_score": None} if meant else given)
    limit = settings.list_default if given["limit"] is None else given["limit"]
    within("LIST_MAX", settings.list_max, limit)
    sort, after = NEWEST, None
    if given["sort"] is not None:
        sort = SORTS[given["sort"]]
    elif best_first and (meant or query.words is not None):
        sort = RELEVANCE
    if given["cursor"] is not None:
        ours = sort
        sort, after = cursors.read(given["cursor"])
        if given["sort"] is not None and sort is not ours:
            raise Rejected(
                400,
                "malformed_cursor",
                f"the cursor is of an order by {sort.name}",
                allowed=sort.name,
            )
    if meant and sort is not RELEVANCE:
        raise Rejected(
            400,
            "invalid_parameter",
            "what is searched by text is in the order of relevance",
            allowed=RELEVANCE.name,
            actual=sort.name,
        )
    if sort is RELEVANCE and query.words is None and not meant:
        raise Rejected(
            400, "invalid_parameter", "sort=relevance needs words in q to be relevant to"
        )
    selection = LISTED if given["fields"] is None else Selection.parse(given["fields"])
    paths = None if selection is LISTED else selection.paths
    shaped = msgspec.structs.replace(query, sort=sort, after=after, limit=limit, paths=paths)
    return shaped, selection


def within(limit: str, allowed: float, actual: float) -> None:
    """Raise `Rejected` 400 `limit_exceeded` if there is more than a setting allows."""
    if actual > allowed:
        raise Rejected(
            400,
            "limit_exceeded",
            f"{limit} is {allowed:g}, this asks for {actual:g}",
            limit=limit,
            allowed=f"{allowed:g}",
            actual=f"{actual:g}",
        )
