"""Queries answered in memory: what MongoDB would find among documents as plain data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from metadata_service.colours import Lab, distance
from metadata_service.mongo_queries import projection
from metadata_service.queries import Condition, Query, Row
from metadata_service.search.words import scored

__all__ = ["matching", "picked", "projected", "value", "without"]


def _any_of(found: Any, values: Any) -> bool:
    held = found if isinstance(found, list) else [found]
    return any(each in values for each in held)


def _part(found: Any, text: str) -> bool:
    return found is not None and re.search(re.escape(text), found, re.IGNORECASE) is not None


def _named(field: str) -> Callable[[Any, Any], bool]:
    return lambda found, wanted: any(
        each["name"] == wanted[0] and each[field] >= wanted[1] for each in found or ()
    )


def _near_colour(found: Any, wanted: Any) -> bool:
    colour, within = wanted
    return any(distance(Lab(each["l"], each["a"], each["b"]), colour) <= within for each in found)


OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "equals": lambda found, wanted: _any_of(found, [wanted]),
    "any_of": _any_of,
    "all_of": lambda found, wanted: isinstance(found, list) and set(wanted) <= set(found),
    "at_least": lambda found, wanted: found is not None and found >= wanted,
    "at_most": lambda found, wanted: found is not None and found <= wanted,
    "more": lambda found, wanted: found is not None and found > wanted,
    "less": lambda found, wanted: found is not None and found < wanted,
    "contains": _part,
    "scored": _named("score"),
    "counted": _named("count"),
    "near_colour": _near_colour,
    "within": lambda found, area: found is not None and area.holds(*found["coordinates"]),
}


def matching(rows: Iterable[Row], query: Query) -> list[Row]:
    """Return the documents that a query is about, wherever the page begins; some get a `score`."""
    found = [row for row in rows if row["uploaded"] and _meets_all(row, query.conditions)]
    if query.words is None:
        return found
    ranked = []
    for row in found:
        score = scored(row["words"], query.words)
        if score is not None and score >= query.least_score:
            ranked.append(row | {"score": score})
    return ranked


def projected(row: Row, query: Query) -> Row:
    """Return what a store reads of a document for a query."""
    read = projection(query)
    if query.paths is None:
        return without(row, read)
    return picked(row, read)


def picked(row: Row, paths: Iterable[str]) -> Row:
    """Return the parts of a document at some paths, and its id."""
    kept: Row = {"_id": row["_id"]}
    for path in paths:
        found, into = row, kept
        *above, last = path.split(".")
        for name in above:
            following = found.get(name)
            if not isinstance(following, dict):
                break
            found, into = following, into.setdefault(name, {})
        else:
            if last in found:
                into[last] = found[last]
    return kept


def value(row: Row, path: str) -> Any:
    """Return what is at a dotted path of plain data; None if nothing is."""
    found: Any = row
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _meets_all(row: Row, conditions: Iterable[Condition]) -> bool:
    return all(_meets(row, condition) for condition in conditions)


def _meets(row: Row, condition: Condition) -> bool:
    if condition.operator == "all_hold":
        met = _meets_all(row, condition.value)
    else:
        met = OPERATORS[condition.operator](value(row, condition.field), condition.value)
    return met is not condition.negated


def without(row: Row, paths: Iterable[str]) -> Row:
    """Return the document without what is at some paths."""
    kept = dict(row)
    for path in paths:
        name, _, below = path.partition(".")
        if not below:
            kept.pop(name, None)
        elif isinstance(kept.get(name), dict):
            kept[name] = without(kept[name], [below])
    return kept
