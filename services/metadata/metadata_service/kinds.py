"""The kinds of fields that pictures are narrowed by: their parameters, and their terms in queries.

A kind makes parameters (`filters`) and reads a term of the query language (`term`): both give the
same conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from metadata_service.colours import Lab, lab
from metadata_service.parameters import TEXT, Parameter, read_as
from metadata_service.queries import Condition, Operator

__all__ = [
    "Area",
    "Choice",
    "Colours",
    "Comparison",
    "Field",
    "Filter",
    "Kind",
    "Paired",
    "Part",
    "Traits",
]

#: How a term of the query language compares; `:` is "is" or "has".
Comparison = Literal[":", ">", ">=", "<", "<="]
#: ΔE*ab that is near when nobody says, and the most that may be asked for.
NEAR, FAR = 15.0, 100.0


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


class _One:
    """A kind whose terms only know the colon, with values that are alternatives."""

    comparisons: tuple[Comparison, ...] = (":",)


class Choice(_One):
    """One of several values, or free text that must be equal.

    `many`: may be given several times, and then means any or all; `also`: there is an `any_…`
    and a `no_…` besides.
    """

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


class _Special(_One):
    """A value with a notation of its own, in which commas may mean something."""

    form = ""
    operator: Operator

    def parse(self, text: str) -> Any:
        """Return the value; raises ValueError."""
        raise NotImplementedError

    def filters(self, field: Field) -> Iterator[Filter]:
        """See `Kind.filters`."""
        yield self.filter(field, field.name, f"{field.description}: {self.form}")

    def filter(self, field: Field, name: str, description: str, path: str = "") -> Filter:
        """Return the parameter that may be given several times, each of which must hold."""
        return Filter(
            name=name,
            type=TEXT,
            field=path or field.path,
            operator=self.operator,
            repeatable=True,
            each=True,
            translate=self.parse,
            description=description,
        )

    def term(
        self, field: Field, comparison: Comparison, values: Sequence[str]
    ) -> tuple[Condition, ...]:
        """See `Kind.term`."""
        del comparison
        value = read_as(field.name, TEXT, ",".join(values), self.parse)
        return (Condition(field=field.path, operator=self.operator, value=value),)


class Paired(_Special):
    """A name, and with a colon the least number that goes with it."""

    def __init__(
        self, operator: Operator, number: type[int] | type[float], least: float, form: str
    ) -> None:
        self.operator, self._number, self._least, self.form = operator, number, least, form

    def parse(self, text: str) -> tuple[str, float]:
        """See `_Special.parse`."""
        name, colon, number = text.rpartition(":")
        try:
            least = self._number(number) if colon else None
        except ValueError:
            least = None
        if least is None:  # a name with a colon in it
            return text, self._least
        if not name or not 0 <= least <= 2**31:
            raise ValueError(f"not a {self.form}")
        return name, least


class Area(_Special):
    """A place on the earth."""

    operator: Operator = "within"
    form = "numbers with commas"

    def __init__(self, parse: Callable[[str], Any]) -> None:
        self.parse = parse  # type: ignore[assignment,method-assign]

    def filters(self, field: Field) -> Iterator[Filter]:
        """See `Kind.filters`."""
        yield self.filter(field, field.name, field.description)


class Colours(_Special):
    """A colour by name, or near one by `#rrggbb` and ΔE."""

    operator: Operator = "near_colour"
    form = "a CSS name, or #rrggbb, or #rrggbb:ΔE (CIE76, 15 if not given)"

    def parse(self, text: str) -> tuple[Lab, float]:
        """See `_Special.parse`."""
        code, colon, number = text.partition(":")
        within = float(number) if colon else NEAR
        if not 0 <= within <= FAR:
            raise ValueError(f"ΔE is 0 to {FAR:g}, this is {number}")
        return lab(code), within

    def filters(self, field: Field) -> Iterator[Filter]:
        """See `Kind.filters`."""
        yield Filter(
            name=field.name,
            type=TEXT,
            field=field.path,
            operator="all_of",
            repeatable=True,
            translate=str.lower,
            description=f"{field.description}; several: has all of them",
        )
        told = "a dominant colour is near this one: rrggbb, or rrggbb:ΔE (CIE76, 15 if not given)"
        yield self.filter(field, f"near_{field.name}", told, "palette")

    def term(
        self, field: Field, comparison: Comparison, values: Sequence[str]
    ) -> tuple[Condition, ...]:
        """See `Kind.term`."""
        if any(each.startswith("#") for each in values):
            near = field._replace(path="palette")
            return super().term(near, comparison, values)
        names = [read_as(field.name, TEXT, each, str.lower) for each in values]
        return (Condition(field=field.path, operator="any_of", value=names),)


class Traits(_One):
    """What a picture may have: one parameter for each, one word for each in the language."""

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
