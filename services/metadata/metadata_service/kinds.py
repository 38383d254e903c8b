"""The kinds of fields that pictures are narrowed by: their parameters, and their terms in queries.

A kind makes parameters (`filters`) and reads a term of the query language (`term`): both give the
same conditions. There are choices (`choices.py`), values with a notation of their own
(`notations.py`), and what has an order (`ranges.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from metadata_service.parameters import Parameter
from metadata_service.queries import Condition, Operator

__all__ = ["COLON", "Comparison", "Field", "Filter", "Kind"]

#: How a term of the query language compares; `:` is "is" or "has".
Comparison = Literal[":", ">", ">=", "<", "<="]
#: For kinds whose terms only know the colon, with values that are alternatives.
COLON: tuple[Comparison, ...] = (":",)


class Filter(Parameter, frozen=True, kw_only=True):
    """A parameter that compares a field of the document.

    `each`: every value given is a condition of its own.
    """

    field: str
    operator: Operator
    negated: bool = False
    each: bool = False

    def conditions(self, value: Any) -> Iterator[Condition]:
        """Yield the conditions that a value (or list of values) of the parameter sets."""
        for each in value if self.each else (value,):
            yield Condition(
                field=self.field, operator=self.operator, value=each, negated=self.negated
            )


class Field(NamedTuple):
    """A row of the table: `name` in the query language, and the `path` in the document."""

    name: str
    path: str
    kind: Kind
    description: str
    aliases: tuple[str, ...] = ()


class Kind(Protocol):
    """How a field is asked about; `form` says what a term's value looks like."""

    comparisons: tuple[Comparison, ...]

    @property
    def form(self) -> str:
        """What may be said after the colon, in a few words."""

    def filters(self, field: Field) -> Iterator[Filter]:
        """Yield the parameters of requests."""

    def term(
        self, field: Field, comparison: Comparison, values: Sequence[str]
    ) -> tuple[Condition, ...]:
        """Return what a term means; raises `Rejected` 400 `invalid_parameter`."""
