"""Query parameters as a table: read strictly, and described in OpenAPI from the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from imagesystem.errors import Rejected

__all__ = ["COUNT", "MOMENT", "TEXT", "Parameter", "read", "read_as"]

#: A non-negative whole number that every database and every JavaScript holds exactly.
COUNT = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
TEXT = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
#: RFC 3339; without a zone it is UTC.
MOMENT = datetime


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One query parameter: its type (bounds in `msgspec.Meta`) and what it means.

    `translate` makes the value that the program uses from the value that was given.
    """

    name: str
    type: Any
    description: str
    repeatable: bool = False
    default: Any = None
    translate: Callable[[Any], Any] | None = None

    def parse(self, text: str) -> Any:
        """Return the value in `text`; raises `Rejected` 400 `invalid_parameter`."""
        return read_as(self.name, self.type, text, self.translate)


def read_as(name: str, kind: Any, text: str, translate: Callable[[Any], Any] | None = None) -> Any:
    """Return `text` as a value of a type, translated; raises `Rejected` 400 `invalid_parameter`.

    `translate` raises ValueError for what it does not understand.
    """
    try:
        value = msgspec.convert(text, kind, strict=False)
        if isinstance(value, datetime):
            value = value.replace(tzinfo=UTC) if value.tzinfo is None else _utc(value)
        return translate(value) if translate else value
    except (ValueError, OverflowError) as error:  # ValidationError is a ValueError
        raise Rejected(400, "invalid_parameter", f"{name}={text[:100]!r}: {error}") from error


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def read(given: Iterable[tuple[str, str]], known: Mapping[str, Parameter]) -> dict[str, Any]:
    """Return the values by name: a list where repeatable, the default where not given.

    Raises `Rejected` 400 `unknown_parameter`, `repeated_parameter` or `invalid_parameter`:
    a filter that is misspelt must not look like one that matches everything.
    """
    values: dict[str, Any] = {}
    for name, text in given:
        parameter = known.get(name)
        if parameter is None:
            raise Rejected(
                400,
                "unknown_parameter",
                f"there is no parameter {name[:100]!r}; "
                f"there are: {', '.join(sorted(known)) or 'none'}",
            )
        value = parameter.parse(text)
        if parameter.repeatable:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise Rejected(400, "repeated_parameter", f"{name} can be given once")
        else:
            values[name] = value
    defaults = {name: parameter.default for name, parameter in known.items()}
    return defaults | values
