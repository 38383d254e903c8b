"""Traits: short words about a picture by which one index finds what has no index of its own.

`traits` says which a picture has; `implied` says of a condition that whatever meets it has one of
these. The exact condition is asked besides, so that a trait may be coarse: a quarter of a score,
a bin of colours, a cell of a map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from metadata_service.colours import Lab, bin_of, bins_around
from metadata_service.documents import Document
from metadata_service.places import cells, covering
from metadata_service.queries import Condition

__all__ = ["HAS", "implied", "traits"]

#: Up to so many of a class of things, or faces, are told apart.
COUNTED = 8
#: Levels of scores: at least 0, ¼, ½, ¾.
LEVELS = 4
#: An index looks for so many traits at most for one question.
MOST = 64

#: What a picture may have, and whether it does.
HAS: dict[str, Callable[[Document], bool]] = {
    "text": lambda document: bool(document.words and document.words.text),
    "faces": lambda document: bool(document.faces),
    "objects": lambda document: bool(document.objects),
    "caption": lambda document: bool(document.caption),
    "tags": lambda document: bool(document.tags),
    "location": lambda document: document.location is not None,
    "camera": lambda document: document.camera is not None,
    "variants": lambda document: document.variant_count > 0,
    "embedding": lambda document: "embedding" in document.inferred,
    "favourite": lambda document: document.favourite,
    "duplicates": lambda document: document.group is not None,
    "rating": lambda document: document.rating is not None,
    "failures": lambda document: bool(document.failed),
}


def traits(document: Document) -> list[str]:
    """Return the traits of a document whose other derived fields are up to date."""
    return sorted(set(_traits(document)))


def _traits(document: Document) -> Iterator[str]:
    for name, has in HAS.items():
        if has(document):
            yield f"has:{name}"
    if document.orientation:
        yield f"orientation:{document.orientation}"
    for label in document.labels:
        for level in range(_level(label.score) + 1):
            yield f"label:{level}:{label.name}"
    for thing in document.objects:
        for count in range(1, min(thing.count, COUNTED) + 1):
            yield f"object:{count}:{thing.name}"
    for count in range(1, min(document.faces or 0, COUNTED) + 1):
        yield f"faces:{count}"
    for shade in document.palette:
        yield f"lab:{bin_of(Lab(shade.l, shade.a, shade.b))}"
    if document.location:
        for cell in cells(*document.location.coordinates):
            yield f"cell:{cell}"


def implied(condition: Condition) -> list[str] | None:
    """Return traits of which whatever meets the condition has one; None: nothing is known."""
    find = _IMPLIED.get((condition.field, condition.operator))
    if find is None or condition.negated:
        return None
    found = find(condition.value)
    return found if found and len(found) <= MOST else None


def _level(score: float) -> int:
    return max(0, min(LEVELS - 1, int(score * LEVELS)))


def _faces(least: int) -> list[str]:
    return [f"faces:{min(least, COUNTED)}"] if least > 0 else []


def _near_colour(value: tuple[Lab, float]) -> list[str]:
    return [f"lab:{name}" for name in bins_around(*value)]


def _area(value: Any) -> list[str]:
    covered = covering(value)
    return ["has:location"] if covered is None else [f"cell:{name}" for name in covered]


_IMPLIED: dict[tuple[str, str], Callable[[Any], list[str]]] = {
    ("labels", "scored"): lambda value: [f"label:{_level(value[1])}:{value[0]}"],
    ("objects", "counted"): lambda value: [f"object:{min(value[1], COUNTED)}:{value[0]}"],
    ("faces", "equals"): _faces,
    ("faces", "at_least"): _faces,
    ("faces", "more"): lambda value: _faces(value + 1),
    ("palette", "near_colour"): _near_colour,
    ("location", "within"): _area,
    ("orientation", "any_of"): lambda values: [f"orientation:{name}" for name in values],
}
