"""Fields whose values have a notation of their own: pairs, places, colours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from metadata_service.colours import Lab, lab
from metadata_service.kinds import COLON, Comparison, Field, Filter
from metadata_service.parameters import TEXT, read_as
from metadata_service.queries import Condition, Operator

__all__ = ["Area", "Colours", "Paired"]

#: ΔE*ab that is near when nobody says, and the most that may be asked for.
NEAR, FAR = 15.0, 100.0


class _Special:
    """A value with a notation of its own, in which commas may mean something."""

    comparisons = COLON
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
        self,
        operator: Operator,
        number: type[int] | type[float],
        *,
        least: float,
        most: float,
        form: str,
    ) -> None:
        self.operator, self._number, self.form = operator, number, form
        self._least, self._most = least, most

    def parse(self, text: str) -> tuple[str, float]:
        """See `_Special.parse`."""
        name, colon, number = text.rpartition(":")
        try:
            asked = float(number) if colon else None
        except ValueError:
            asked = None
        if asked is None:  # a name with a colon in it
            return text, self._least
        if not name or not 0 <= asked <= self._most or asked != self._number(asked):
            raise ValueError(f"not a {self.form}")
        return name, self._number(asked)


class Area(_Special):
    """A place on the earth."""

    operator: Operator = "within"

    def __init__(self, parse: Callable[[str], Any], form: str) -> None:
        self.parse = parse  # type: ignore[assignment,method-assign]
        self.form = form


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
