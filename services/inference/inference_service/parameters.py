"""Query parameters as a table: read strictly, and described in OpenAPI from the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from imagesystem.errors import Rejected

__all__ = ["CHOICE", "OVERLAY", "Parameter", "read"]


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One query parameter: its type (bounds in `msgspec.Meta`) and what it means."""

    name: str
    type: Any
    description: str
    default: Any = None


_CHOICE = (
    Parameter(
        name="min_confidence",
        type=Annotated[float, msgspec.Meta(ge=0, le=1)],
        description="findings less sure than this are left out (0-1)",
    ),
    Parameter(
        name="max_results",
        type=Annotated[int, msgspec.Meta(ge=1, le=1000)],
        description="so many findings at most, the surest",
    ),
)
_SIDE = Parameter(
    name="side",
    type=Annotated[int, msgspec.Meta(ge=64, le=2048)],
    description="pixels of the drawing's longest side, at most",
    default=1024,
)

#: Which of the findings are wanted: objects, faces, lines, labels.
CHOICE = {parameter.name: parameter for parameter in _CHOICE}
#: What a drawing takes.
OVERLAY = CHOICE | {_SIDE.name: _SIDE}


def read(given: Iterable[tuple[str, str]], known: Mapping[str, Parameter]) -> dict[str, Any]:
    """Return the values by name, the default where one is not given.

    Raises `Rejected` 400 `unknown_parameter`, `repeated_parameter` or `invalid_parameter`.
    """
    values: dict[str, Any] = {}
    for name, text in given:
        parameter = known.get(name)
        if parameter is None:
            raise Rejected(
                400,
                "unknown_parameter",
                f"there is no parameter {name[:100]!r}; there are: {', '.join(sorted(known))}",
            )
        if name in values:
            raise Rejected(400, "repeated_parameter", f"{name} can be given once")
        try:
            values[name] = msgspec.convert(text, parameter.type, strict=False)
        except msgspec.ValidationError as error:
            raise Rejected(400, "invalid_parameter", f"{name}={text[:100]!r}: {error}") from error
    return {name: parameter.default for name, parameter in known.items()} | values
