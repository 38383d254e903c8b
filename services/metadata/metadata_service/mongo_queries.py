"""Queries in MongoDB's language."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from metadata_service.places import EARTH_KM, Box, Circle
from metadata_service.queries import RELEVANCE, Condition, Query
from metadata_service.search.words import WEIGHTS, Wanted
from metadata_service.traits import implied

__all__ = [
    "LEFT_OUT",
    "LEFT_OUT_OF_HITS",
    "WITHOUT_VECTOR",
    "criteria",
    "matching",
    "order",
    "pipeline",
    "projection",
    "reading",
]

#: Later than nothing: the lower bound that only leaves out what has no time.
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
#: What only those get who ask for it.
LEFT_OUT = {
    "augmented": False,
    "seq": False,
    "words": False,
    "traits": False,
    "inferred.embedding.result.vector": False,
}
#: The words explain why a hit is one.
LEFT_OUT_OF_HITS = {path: False for path in LEFT_OUT if path != "words"}
WITHOUT_VECTOR = {"inferred.embedding.result.vector": False}
_SCORE = {"$meta": "textScore"}


def _simple(name: str) -> Callable[[str, Any], dict[str, Any]]:
    return lambda field, value: {field: {name: value}}


def _near_colour(field: str, value: Any) -> dict[str, Any]:
    colour, within = value
    squares = [
        {"$pow": [{"$subtract": [f"$$shade.{axis}", at]}, 2]}
        for axis, at in (("l", colour.l), ("a", colour.a), ("b", colour.b))
    ]
    near = {"$lte": [{"$add": squares}, within * within]}
    return {
        "$expr": {"$anyElementTrue": {"$map": {"input": f"${field}", "as": "shade", "in": near}}}
    }


def _within(field: str, area: Box | Circle) -> dict[str, Any]:
    if isinstance(area, Circle):
        circle = [[area.longitude, area.latitude], area.km / EARTH_KM]
        return {field: {"$geoWithin": {"$centerSphere": circle}}}
    longitude, latitude = f"{field}.coordinates.0", f"{field}.coordinates.1"
    tall = {latitude: {"$gte": area.south, "$lte": area.north}}
    if area.west <= area.east:
        return tall | {longitude: {"$gte": area.west, "$lte": area.east}}
    return tall | {"$or": [{longitude: {"$gte": area.west}}, {longitude: {"$lte": area.east}}]}


OPERATORS: dict[str, Callable[[str, Any], dict[str, Any]]] = {
    "equals": _simple("$eq"),
    "any_of": lambda field, values: {field: {"$in": list(values)}},
    "all_of": lambda field, values: {field: {"$all": list(values)}},
    "at_least": _simple("$gte"),
    "at_most": _simple("$lte"),
    "more": _simple("$gt"),
    "less": _simple("$lt"),
    "contains": lambda field, text: {field: {"$regex": re.escape(text), "$options": "i"}},
    "scored": lambda field, value: {
        field: {"$elemMatch": {"name": value[0], "score": {"$gte": value[1]}}}
    },
    "counted": lambda field, value: {
        field: {"$elemMatch": {"name": value[0], "count": {"$gte": value[1]}}}
    },
    "near_colour": _near_colour,
    "within": _within,
    "all_hold": lambda _, conditions: {"$and": [_condition(each) for each in conditions]},
}


def _condition(condition: Condition) -> dict[str, Any]:
    found = OPERATORS[condition.operator](condition.field, condition.value)
    return {"$nor": [found]} if condition.negated else found


def matching(query: Query, seldom: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return what a document must meet, wherever the page begins.

    `seldom`: the phrases that the index of words is asked for (None: all); the others are looked
    for in the texts.
    """
    every: list[dict[str, Any]] = []
    if query.words is not None:
        every += _worded(query.words, query.words.phrases if seldom is None else seldom)
    for condition in query.conditions:
        every.append(_condition(condition))
        found = implied(condition)
        if found:
            every.append({"traits": {"$in": found} if len(found) > 1 else found[0]})
    return every


def _worded(words: Wanted, indexed: Sequence[str]) -> Iterator[dict[str, Any]]:
    if indexed:
        said = [f'"{phrase}"' for phrase in indexed]
        said += [f'-"{phrase}"' for phrase in words.without]
        yield {"$text": {"$search": " ".join(said)}}
    else:
        yield from ({"$nor": [_written(phrase)]} for phrase in words.without)
    yield from (_written(phrase) for phrase in words.phrases if phrase not in indexed)


def _written(phrase: str) -> dict[str, Any]:
    """Return what finds a folded phrase in folded texts: both have spaces at their ends."""
    return {"$or": [{f"words.{field}": {"$regex": re.escape(phrase)}} for field in WEIGHTS]}


def criteria(query: Query, seldom: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the filter that finds the documents of a query, in an order other than relevance.

    `seldom`: see `matching`.
    """
    sort, after = query.sort, query.after
    every = matching(query, seldom)
    field = "uploaded.uploaded_at" if sort is RELEVANCE else sort.field
    every.append({field: {"$gte": BEGINNING if field != "uploaded.size_bytes" else 0}})
    if after is not None and sort is not RELEVANCE:
        # One range on the index, and the ids of the one key where the last page ended.
        every += _after(sort.field, after.key, after.image_id, descending=sort.descending)
    return {"$and": every}


def _after(field: str, key: Any, image_id: str, *, descending: bool) -> list[dict[str, Any]]:
    closer, equal = ("$lt", "$lte") if descending else ("$gt", "$gte")
    return [
        {field: {equal: key}},
        {"$or": [{field: {closer: key}}, {"_id": {closer: image_id}}]},
    ]


def pipeline(query: Query) -> list[dict[str, Any]]:
    """Return the stages that find the documents of a query with words, each with its `score`."""
    stages: list[dict[str, Any]] = [{"$match": criteria(query)}, {"$addFields": {"score": _SCORE}}]
    least: list[dict[str, Any]] = [{"score": {"$gte": query.least_score}}]
    if query.after is not None and query.sort is RELEVANCE:
        after = query.after
        least += _after("score", after.key, after.image_id, descending=True)
    return [*stages, {"$match": {"$and": least}}]


def order(query: Query) -> list[tuple[str, int]]:
    """Return the keys to sort by."""
    direction = -1 if query.sort.descending else 1
    return [(query.sort.field, direction), ("_id", direction)]


def projection(query: Query) -> dict[str, bool]:
    """Return what to read of the documents: what is wanted, and what the order goes by."""
    if query.paths is None:
        return LEFT_OUT if query.words is None else LEFT_OUT_OF_HITS
    wanted = {"_id", query.sort.field, *query.paths}
    return reading(wanted | {"words", "score"} if query.words is not None else wanted)


def reading(paths: Iterable[str]) -> dict[str, bool]:
    """Return the projection on some paths; those inside of others are read with them."""
    wanted = set(paths)
    return {path: True for path in sorted(wanted) if not _inside(path, wanted)}


def _inside(path: str, wanted: set[str]) -> bool:
    """Say whether a path is part of another one: MongoDB refuses to be told both."""
    parts = path.split(".")
    return any(".".join(parts[:end]) in wanted for end in range(1, len(parts)))
