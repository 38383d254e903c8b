"""Kinds that are numbers."""

from __future__ import annotations

import re
from typing import Any

import msgspec

__all__ = ["Integer", "Number", "Numbers", "Ratio", "Switch"]

#: Nothing but plain ASCII numbers: float() also takes "+5", " 5", "5_0", "1e9", "nan".
_NUMBER = re.compile(r"-?\d{1,12}(?:\.\d{1,9})?", re.ASCII)


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _neat(number: float) -> str:
    return f"{number:g}"


class Integer(msgspec.Struct, frozen=True):
    """A whole number within bounds."""

    least: int
    most: int

    @property
    def allowed(self) -> str:
        """The bounds."""
        return f"{self.least} to {self.most}"

    @property
    def examples(self) -> tuple[str, ...]:
        """The least and one that is ordinary."""
        return str(self.least), str(min(self.most, self.least + 40))

    def value(self, text: str) -> int | None:
        """Return the number."""
        number = _number(text)
        if number is None or "." in text or not self.least <= number <= self.most:
            return None
        return int(number)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


class Number(msgspec.Struct, frozen=True):
    """A number within bounds, fractions allowed."""

    least: float
    most: float

    @property
    def allowed(self) -> str:
        """The bounds."""
        return f"{_neat(self.least)} to {_neat(self.most)}"

    @property
    def examples(self) -> tuple[str, ...]:
        """The least and one between the bounds."""
        return _neat(self.least), _neat(round(self.least + (self.most - self.least) * 0.1, 3))

    def value(self, text: str) -> float | None:
        """Return the number."""
        number = _number(text)
        return number if number is not None and self.least <= number <= self.most else None

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"type": "number", "minimum": self.least, "maximum": self.most}


class Switch(msgspec.Struct, frozen=True):
    """A number, or `true` for its usual value `on`, or `false` for not at all."""

    least: float
    most: float
    on: float

    @property
    def allowed(self) -> str:
        """The bounds and the words."""
        return f"{_neat(self.least)} to {_neat(self.most)}, true ({_neat(self.on)}), false"

    @property
    def examples(self) -> tuple[str, ...]:
        """One of each."""
        return "true", "false", _neat(self.on)

    def value(self, text: str) -> float | bool | None:
        """Return the number, or False."""
        if text in ("", "true"):
            return float(self.on)
        if text == "false":
            return False
        return Number(self.least, self.most).value(text)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        number = Number(self.least, self.most).schema()
        return {"anyOf": [number, {"type": "boolean"}]}


class Numbers(msgspec.Struct, frozen=True):
    """Several numbers with commas; `counts`: how many there may be; `form` names them."""

    counts: tuple[int, ...]
    least: float
    most: float
    form: str
    example: str

    @property
    def allowed(self) -> str:
        """The form and the bounds."""
        return f"{self.form}, each {_neat(self.least)} to {_neat(self.most)}"

    @property
    def examples(self) -> tuple[str, ...]:
        """One."""
        return (self.example,)

    def value(self, text: str) -> tuple[float, ...] | None:
        """Return the numbers."""
        one = Number(self.least, self.most)
        numbers = [one.value(part) for part in text.split(",", max(self.counts))]
        found = tuple(number for number in numbers if number is not None)
        return found if len(found) == len(numbers) and len(found) in self.counts else None

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"type": "string", "example": self.example}


class Ratio(msgspec.Struct, frozen=True):
    """Width to height: `16:9`, `16/9` or `1.78`; between 1:50 and 50:1."""

    @property
    def allowed(self) -> str:
        """The forms."""
        return "width:height or a number, 0.02 to 50"

    @property
    def examples(self) -> tuple[str, ...]:
        """Both forms."""
        return "16:9", "1.5"

    def value(self, text: str) -> float | None:
        """Return width divided by height."""
        width, _, height = text.replace("/", ":").partition(":")
        over, under = _number(width), _number(height or "1")
        if over is None or under is None or over <= 0 or under <= 0:
            return None
        ratio = over / under
        return ratio if 0.02 <= ratio <= 50 else None

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"type": "string", "example": "16:9"}
