"""Fields whose values are told apart by name: choices, parts of texts, traits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from metadata_service.kinds import COLON, Comparison, Field, Filter
from metadata_service.parameters import read_as
from metadata_service.queries import Condition, Operator

__all__ = ["Choice", "Part", "Traits"]


class Choice:
    """One of several values, or free text that must be equal.

    `many`: may be given several times, and then means any or all; `also`: there is an `any_…`
    and a `no_…` besides.
    """

    comparisons = COLON

    def __init__(
        self,
        type: Any,  # noqa: A002  as in `Parameter`
        *,
        many: Literal["any_of", "all_of"] | None = None,
        translate: Callable[[Any], Any] | None = None,
        also: bool = False,
    ) -> None:
        self._type, self._many, self._translate, self._also = type, many, translate, also

    @property
    def form(self) -> str:
        """See `Kind.form`."""
        allowed = getattr(self._type, "__args__", ())
        words = [each for each in allowed if isinstance(each, str)]
        return "one of " + ", ".join(words) if words else "text; several with commas: any of them"

    def filters(self, field: Field) -> Iterator[Filter]:
        """See `Kind.filters`."""
        told = {"any_of": "any of them", "all_of": "has all of them"}
        meaning = f"; several: {told[self._many]}" if self._many else ""
        yield self._filter(field, field.name, self._many or "equals", field.description + meaning)
        if self._also:
            yield self._filter(field, f"any_{field.name}", "any_of", "has any of these")
            no = self._filter(field, f"no_{field.name}", "any_of", "has none of these")
            yield Filter(**{name: getattr(no, name) for name in _FIELDS} | {"negated": True})

    def _filter(self, field: Field, name: str, operator: Operator, description: str) -> Filter:
        return Filter(
            name=name,
            type=self._type,
            field=field.path,
            operator=operator,
            repeatable=operator != "equals",
            translate=self._translate,
            description=description,
        )

    def term(
        self, field: Field, comparison: Comparison, values: Sequence[str]
    ) -> tuple[Condition, ...]:
        """See `Kind.term`."""
        del comparison
        found = [read_as(field.name, self._type, each, self._translate) for each in values]
        return (Condition(field=field.path, operator="any_of", value=found),)


_FIELDS = Filter.__struct_fields__


class Part(Choice):
    """A part of a text, whatever the case."""

    @property
    def form(self) -> str:
        """See `Kind.form`."""
        return "a part of it"

    def filters(self, field: Field) -> Iterator[Filter]:
        """See `Kind.filters`."""
        yield self._filter(field, field.name, "contains", field.description + ", whatever the case")

    def _filter(self, field: Field, name: str, operator: Operator, description: str) -> Filter:
        made = super()._filter(field, name, operator, description)
        return Filter(**{key: getattr(made, key) for key in _FIELDS} | {"repeatable": False})

    def term(
        self, field: Field, comparison: Comparison, values: Sequence[str]
    ) -> tuple[Condition, ...]:
        """See `Kind.term`."""
        del comparison
        text = read_as(field.name, self._type, ",".join(values))
        return (Condition(field=field.path, operator="contains", value=text),)


class Traits:
    """What a picture may have: one parameter for each, one word for each in the language."""

    comparisons = COLON

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    @property
    def form(self) -> str:
        """See `Kind.form`."""
        return "one of " + ", ".join(self._names)

    def filters(self, field: Field) -> Iterator[Filter]:
        """See `Kind.filters`."""
        for name in self._names:
            yield HasFilter(
                name=f"{field.name}_{name}",
                type=bool,
                field=field.path,
                operator="any_of",
                description=f"{field.description}: {name}",
                trait=f"{field.name}:{name}",
            )

    def term(
        self, field: Field, comparison: Comparison, values: Sequence[str]
    ) -> tuple[Condition, ...]:
        """See `Kind.term`."""
        del comparison
        named = Literal[self._names]  # type: ignore[name-defined]
        found = [f"{field.name}:{read_as(field.name, named, each)}" for each in values]
        return (Condition(field=field.path, operator="any_of", value=found),)


class HasFilter(Filter, frozen=True, kw_only=True):
    """A parameter that asks for a trait, or for its absence."""

    trait: str

    def conditions(self, value: Any) -> Iterator[Condition]:
        """See `Filter.conditions`."""
        yield Condition(
            field=self.field, operator=self.operator, value=[self.trait], negated=not value
        )
