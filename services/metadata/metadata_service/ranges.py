"""The kinds of fields that have an order: numbers and times, with bounds and ranges."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from imagesystem.errors import Rejected

from metadata_service.kinds import Comparison, Field, Filter
from metadata_service.moments import beginning, span
from metadata_service.parameters import TEXT, read_as
from metadata_service.queries import Condition, Operator

__all__ = ["Moments", "Numbers"]

BOUNDS: dict[Comparison, Operator] = {
    ">": "more",
    ">=": "at_least",
    "<": "less",
    "<=": "at_most",
}


class Numbers:
    """A number with bounds."""

    comparisons: tuple[Comparison, ...] = (":", ">", ">=", "<", "<=")
    form = "a number, or a range 2..5"

    def __init__(self, type: Any) -> None:  # noqa: A002  as in `Parameter`
        self._type = type

    def filters(self, field: Field) -> Iterator[Filter]:
        """See `Kind.filters`."""
        ends: tuple[tuple[str, Operator, str], ...]
        ends = (("min", "at_least", "least"), ("max", "at_most", "most"))
        for name, operator, told in ends:
            yield Filter(
                name=f"{name}_{field.name}",
                type=self._type,
                field=field.path,
                operator=operator,
                translate=_finite,
                description=f"{field.description}, at {told}",
            )

    def term(
        self, field: Field, comparison: Comparison, values: Sequence[str]
    ) -> tuple[Condition, ...]:
        """See `Kind.term`."""
        text = ",".join(values)
        if comparison != ":":
            return (self._condition(field, BOUNDS[comparison], text),)
        if ".." not in text:
            return (self._condition(field, "equals", text),)
        first, _, last = text.partition("..")
        ends: tuple[tuple[Operator, str], ...] = (("at_least", first), ("at_most", last))
        found = tuple(self._condition(field, operator, end) for operator, end in ends if end)
        if len(found) == len(ends) and found[0].value > found[1].value:
            raise _turned(field, first, last)
        return found or (self._condition(field, "equals", text),)

    def _condition(self, field: Field, operator: Operator, text: str) -> Condition:
        value = read_as(field.name, self._type, text, _finite)
        return Condition(field=field.path, operator=operator, value=value)


class Moments:
    """A time: a year, a month, a day, or to the moment."""

    comparisons: tuple[Comparison, ...] = (":", ">", ">=", "<", "<=")
    form = "2024, 2024-05, 2024-05-31, a time (RFC 3339), or a range 2023..2024-05"

    def filters(self, field: Field) -> Iterator[Filter]:
        """See `Kind.filters`."""
        ends: tuple[tuple[str, Operator, str], ...] = (
            ("after", "at_least", "then or later"),
            ("before", "less", "earlier than that"),
        )
        for name, operator, told in ends:
            yield Filter(
                name=f"{field.name}_{name}",
                type=TEXT,
                field=field.path,
                operator=operator,
                translate=beginning,
                description=f"{field.description} {told} (RFC 3339; 2024, 2024-05 and 2024-05-31 "
                "are when they begin)",
            )

    def term(
        self, field: Field, comparison: Comparison, values: Sequence[str]
    ) -> tuple[Condition, ...]:
        """See `Kind.term`: `taken>2024` is after that year, `taken>=2024` from its beginning."""
        text = ",".join(values)
        first, dots, last = text.partition("..")
        if comparison == ":" and dots:
            if not first and not last:
                raise _not_a_moment(field, text)
            begin, end = first and self._span(field, first), last and self._span(field, last)
            if begin and end and begin[0] > end[0]:
                raise _turned(field, first, last)
            found = [(begin[0], "at_least")] if begin else []
            found += [(end[1], "less")] if end else []
        else:
            begins, ends = self._span(field, text)
            bounds: dict[Comparison, list[tuple[datetime, str]]] = {
                ":": [(begins, "at_least"), (ends, "less")],
                ">": [(ends, "at_least")],
                ">=": [(begins, "at_least")],
                "<": [(begins, "less")],
                "<=": [(ends, "less")],
            }
            found = bounds[comparison]
        return tuple(
            Condition(field=field.path, operator=operator, value=moment)  # type: ignore[arg-type]
            for moment, operator in found
        )

    def _span(self, field: Field, text: str) -> tuple[datetime, datetime]:
        try:
            return span(text)
        except ValueError as error:
            raise _not_a_moment(field, text) from error


def _turned(field: Field, first: str, last: str) -> Rejected:
    told = f"{field.name}={first[:50]}..{last[:50]} is empty: the lesser end comes first"
    return Rejected(400, "invalid_parameter", told)


def _not_a_moment(field: Field, text: str) -> Rejected:
    return Rejected(400, "invalid_parameter", f"{field.name}={text[:100]!r} is not {Moments.form}")


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a number")
    return value
