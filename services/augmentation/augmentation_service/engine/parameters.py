"""The kinds of parameters that operations have: what fits, how it is drawn, how it is described.

A parameter without a default must be given.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import msgspec

from augmentation_service.engine.randomness import Stream

__all__ = [
    "Choice",
    "Colour",
    "Integer",
    "Number",
    "Parameter",
    "Toggle",
    "Unfit",
    "Value",
    "shown",
]

Value: TypeAlias = float | int | bool | str
_COLOUR = re.compile(r"#(?:[0-9a-f]{6}|[0-9a-f]{8})", re.IGNORECASE)


class Unfit(Exception):
    """A value that a parameter cannot have; `out_of_range`: right in kind, too small or large."""

    def __init__(self, allowed: str, actual: object, *, out_of_range: bool = False) -> None:
        super().__init__(allowed)
        self.allowed = allowed
        self.actual = shown(actual)
        self.out_of_range = out_of_range


def shown(value: object) -> str:
    """Return a value for an error message: short, whatever it is."""
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an integer of {value.bit_length()} bits"  # Python refuses to print long ones
    text = f"{value:g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 64 else f"{text[:61]}..."


class _Described(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    description: str


class Number(_Described, frozen=True, kw_only=True):
    """A number from `least` to `most`, both included, in `unit`."""

    unit: str
    least: float
    most: float
    default: float | None = None

    @property
    def allowed(self) -> str:
        """What fits, in words."""
        return f"{self.least:g} to {self.most:g}"

    def check(self, value: object) -> float:
        """Return the value as this parameter's kind; raises `Unfit`."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unfit(f"a number, {self.allowed}", value)
        if not self.least <= value <= self.most:  # NaN is not either
            raise Unfit(self.allowed, value, out_of_range=True)
        return float(value)

    def between(self, least: float, most: float, stream: Stream) -> float:
        """Draw from a range, uniformly."""
        return min(most, least + (most - least) * stream.unit())

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of a value."""
        return {"type": "number", "minimum": self.least, "maximum": self.most, "unit": self.unit}


class Integer(_Described, frozen=True, kw_only=True):
    """An integer from `least` to `most`, both included, in `unit`."""

    unit: str
    least: int
    most: int
    default: int | None = None

    @property
    def allowed(self) -> str:
        """What fits, in words."""
        return f"{self.least} to {self.most}"

    def check(self, value: object) -> int:
        """Return the value as this parameter's kind; raises `Unfit`."""
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not isinstance(value, int | float) or not whole:
            raise Unfit(f"an integer, {self.allowed}", value)
        if not self.least <= value <= self.most:
            raise Unfit(self.allowed, value, out_of_range=True)
        return int(value)

    def between(self, least: float, most: float, stream: Stream) -> int:
        """Draw from a range, uniformly."""
        return int(least) + stream.below(int(most) - int(least) + 1)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of a value."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most, "unit": self.unit}


class Choice(_Described, frozen=True, kw_only=True):
    """One of a few words; `choices` says what each means."""

    choices: dict[str, str]
    default: str | None = None

    @property
    def allowed(self) -> str:
        """What fits, in words."""
        return ", ".join(self.choices)

    def check(self, value: object) -> str:
        """Return the value as this parameter's kind; raises `Unfit`."""
        if not isinstance(value, str) or value not in self.choices:
            raise Unfit(self.allowed, value)
        return value

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of a value."""
        described = [{"const": word, "description": text} for word, text in self.choices.items()]
        return {"type": "string", "enum": [*self.choices], "oneOf": described}


class Toggle(_Described, frozen=True, kw_only=True):
    """Yes or no."""

    default: bool | None = None
    allowed = "true, false"

    def check(self, value: object) -> bool:
        """Return the value as this parameter's kind; raises `Unfit`."""
        if not isinstance(value, bool):
            raise Unfit(self.allowed, value)
        return value

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of a value."""
        return {"type": "boolean"}


class Colour(_Described, frozen=True, kw_only=True):
    """An sRGB colour, `#rrggbb`, or `#rrggbbaa` with an opacity (which pictures may lack)."""

    default: str | None = None
    allowed = "#rrggbb or #rrggbbaa"

    def check(self, value: object) -> str:
        """Return the value as this parameter's kind; raises `Unfit`."""
        if not isinstance(value, str) or not _COLOUR.fullmatch(value):
            raise Unfit(self.allowed, value)
        return value.lower()

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of a value."""
        return {"type": "string", "pattern": "^#([0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})$"}


Parameter: TypeAlias = Number | Integer | Choice | Toggle | Colour
