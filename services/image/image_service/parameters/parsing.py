"""From text to what a client wants: valid values by the names of the table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from imagesystem.errors import Rejected

from image_service.kinds import Value
from image_service.parameters.table import ACCESS, BY_NAME, PARAMETERS

__all__ = ["MAX_FIELDS", "Wanted", "conflict", "parse", "read"]

MAX_FIELDS = 64
_ACCESS_NAMES = frozenset(parameter.name for parameter in ACCESS)
_ALLOWED_NAMES = ", ".join(parameter.name for parameter in PARAMETERS)


class Wanted(msgspec.Struct, frozen=True):
    """What the client said, valid: values by the names of the table's parameters."""

    values: Mapping[str, Value]

    def __hash__(self) -> int:
        return hash(frozenset(self.values.items()))

    def get(self, name: str, default: Value = None) -> Any:
        """Return the value of a parameter, `default` where it was not given."""
        return self.values.get(name, default)

    def over(self, base: Mapping[str, Value]) -> Wanted:
        """Return what was said here, and of `base` what was not."""
        return Wanted({**base, **self.values})

    def without(self, *names: str) -> Wanted:
        """Return the rest."""
        return Wanted({name: self.values[name] for name in self.values if name not in names})


def parse(query: str) -> Wanted | None:
    """Read a query string (still percent-encoded); None when it asks for no rendition.

    Raises `Rejected` 400: `unknown_parameter`, `repeated_parameter`, `invalid_parameter`,
    `too_many_parameters`.
    """
    if not query:
        return None
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise Rejected(
            400, "too_many_parameters", "too many parameters", allowed=MAX_FIELDS
        ) from error
    return read(pairs)


def read(pairs: Iterable[tuple[str, str]]) -> Wanted | None:
    """Read names and texts, from wherever they came; raises as `parse`.

    Signature and expiry are checked and left out: they are no part of what is wanted.
    """
    values: dict[str, Value] = {}
    for name, text in pairs:
        parameter = BY_NAME.get(name)
        if parameter is None:
            raise Rejected(
                400,
                "unknown_parameter",
                f"there is no parameter {name[:64]!r}",
                allowed=_ALLOWED_NAMES,
                actual=name[:64],
            )
        if parameter.name in values:
            raise Rejected(
                400, "repeated_parameter", f"{parameter.name} is given twice", allowed=1, actual=2
            )
        value = parameter.kind.value(text)
        if value is None:
            raise Rejected(
                400,
                "invalid_parameter",
                f"{parameter.name} cannot be {text[:64]!r}",
                limit=parameter.name,
                allowed=parameter.allowed,
                actual=text[:64],
            )
        values[parameter.name] = value
    wanted = {name: values[name] for name in values if name not in _ACCESS_NAMES}
    return Wanted(wanted) if wanted else None


def conflict(one: str, other: str, allowed: str) -> Rejected:
    """Return the refusal of two parameters that contradict each other."""
    return Rejected(
        400,
        "conflicting_parameters",
        f"{one} and {other} contradict each other",
        limit=one,
        allowed=allowed,
        actual=other,
    )
