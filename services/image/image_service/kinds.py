"""Kinds of values: how each is read from text, what it allows, and how OpenAPI says so.

`value` returns what a text says, or None if the text says nothing that is allowed. Texts that
mean the same give equal values ("5" and "5.0" of a `Number`, "fff" and "white" of a `Colour`).
"""

from __future__ import annotations

import re
from typing import Any, Protocol, TypeAlias

import msgspec
from imagesystem.errors import Rejected
from imagesystem.ids import parse_image_id
from PIL import ImageColor

__all__ = [
    "Choice",
    "Colours",
    "Either",
    "Flag",
    "ImageId",
    "Integer",
    "Kind",
    "Line",
    "Number",
    "Numbers",
    "Ratio",
    "Region",
    "Regions",
    "Switch",
    "Value",
    "Words",
]

Value: TypeAlias = Any  # bool, int, float, str or a tuple of these: hashable, and JSON

#: Nothing but plain ASCII numbers: float() also takes "+5", " 5", "5_0", "1e9", "nan".
_NUMBER = re.compile(r"-?\d{1,12}(?:\.\d{1,9})?", re.ASCII)
_FLAGS = {"true": True, "1": True, "": True, "false": False, "0": False}


class Kind(Protocol):
    """What all kinds have."""

    @property
    def allowed(self) -> str:
        """The values that can be given, for people."""

    @property
    def examples(self) -> tuple[str, ...]:
        """Texts that are allowed."""

    def value(self, text: str) -> Value | None:
        """Return the value that `text` says, None if it cannot be given."""

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        ...


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


class Flag(msgspec.Struct, frozen=True):
    """Yes or no; the name alone means yes."""

    @property
    def allowed(self) -> str:
        """The words."""
        return "true, false"

    @property
    def examples(self) -> tuple[str, ...]:
        """Both."""
        return "true", "false"

    def value(self, text: str) -> bool | None:
        """Return whether."""
        return _FLAGS.get(text)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"type": "boolean"}


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
        return {"anyOf": [number, Flag().schema()]}


class Choice(msgspec.Struct, frozen=True):
    """One of some words; `spellings` are other ways to write them."""

    words: tuple[str, ...]
    spellings: dict[str, str] = {}

    @property
    def allowed(self) -> str:
        """The words."""
        return ", ".join(self.words)

    @property
    def examples(self) -> tuple[str, ...]:
        """All of them."""
        return self.words

    def value(self, text: str) -> str | None:
        """Return the word."""
        word = self.spellings.get(text, text)
        return word if word in self.words else None

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"type": "string", "enum": [*self.words, *self.spellings]}


class Words(msgspec.Struct, frozen=True):
    """Some of some words, with commas; their order does not matter."""

    words: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """The words."""
        return f"{', '.join(self.words)}; several with commas"

    @property
    def examples(self) -> tuple[str, ...]:
        """The first, and all."""
        return self.words[0], ",".join(self.words)

    def value(self, text: str) -> tuple[str, ...] | None:
        """Return the words in order, each once."""
        said = text.split(",")
        return tuple(sorted(set(said))) if set(said) <= set(self.words) else None

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"type": "string"}


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


def _colour(text: str) -> tuple[int, int, int, int] | None:
    digits = text.removeprefix("#")
    if re.fullmatch(r"(?:[0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})", digits):
        red, green, blue, *alpha = ImageColor.getrgb(f"#{digits}")
    elif text.lower() in ImageColor.colormap:
        red, green, blue, *alpha = ImageColor.getrgb(text)
    elif text.lower() == "transparent":
        return 0, 0, 0, 0
    else:
        return None
    return red, green, blue, alpha[0] if alpha else 255


class Colours(msgspec.Struct, frozen=True):
    """`count` colours with commas: hex of 3, 4, 6 or 8 digits, or CSS names; (R, G, B, A)."""

    count: int = 1

    @property
    def allowed(self) -> str:
        """The forms."""
        form = "a hex colour (rgb, rgba, rrggbb, rrggbbaa) or a CSS name"
        return form if self.count == 1 else f"{self.count} colours with commas, each {form}"

    @property
    def examples(self) -> tuple[str, ...]:
        """By hex and by name."""
        return ",".join(["1e3a8a", "gold"][: self.count]), ",".join(["ff8800"] * self.count)

    def value(self, text: str) -> tuple[Any, ...] | None:
        """Return the colour, or a tuple of them."""
        colours = [_colour(part) for part in text.split(",", self.count)]
        if len(colours) != self.count or None in colours:
            return None
        return colours[0] if self.count == 1 else tuple(colours)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"type": "string", "example": self.examples[0]}


class ImageId(msgspec.Struct, frozen=True):
    """The id of an uploaded image."""

    @property
    def allowed(self) -> str:
        """The form."""
        return "an image id"

    @property
    def examples(self) -> tuple[str, ...]:
        """One."""
        return ("0198c0de-0000-8000-8000-000000000000",)

    def value(self, text: str) -> str | None:
        """Return the id in its one spelling."""
        try:
            return parse_image_id(text)
        except Rejected:
            return None

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"type": "string", "format": "uuid"}


class Line(msgspec.Struct, frozen=True):
    """Text of at most `most` characters, without control characters (a newline is one)."""

    most: int
    example: str

    @property
    def allowed(self) -> str:
        """The bound."""
        return f"1 to {self.most} characters, none of them a control character"

    @property
    def examples(self) -> tuple[str, ...]:
        """One."""
        return (self.example,)

    def value(self, text: str) -> str | None:
        """Return the text."""
        return text if 0 < len(text) <= self.most and text.isprintable() else None

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"type": "string", "minLength": 1, "maxLength": self.most}


class Region(msgspec.Struct, frozen=True):
    """A box `x,y,width,height`: pixels, or shares (0-1) where any number has a decimal point."""

    @property
    def allowed(self) -> str:
        """The form."""
        return "x,y,width,height in pixels (whole numbers) or as shares (0.0 to 1.0)"

    @property
    def examples(self) -> tuple[str, ...]:
        """Both units."""
        return "10,5,40,30", "0.25,0.25,0.5,0.5"

    def value(self, text: str) -> tuple[str, float, float, float, float] | None:
        """Return the unit (`px` or `share`) and the four numbers."""
        shares = "." in text
        most = 1.0 if shares else 1e6
        numbers = Numbers((4,), 0, most, "", "").value(text)
        if numbers is None or numbers[2] <= 0 or numbers[3] <= 0:
            return None
        left, top, width, height = numbers
        if shares and (left + width > 1.000001 or top + height > 1.000001):
            return None
        return "share" if shares else "px", left, top, width, height

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"type": "string", "example": self.examples[0]}


class Regions(msgspec.Struct, frozen=True):
    """Up to `most` boxes with semicolons, and the word `faces` for those in the picture."""

    most: int

    @property
    def allowed(self) -> str:
        """The form."""
        return f"`faces` and up to {self.most} boxes ({Region().allowed}), with semicolons"

    @property
    def examples(self) -> tuple[str, ...]:
        """One box, and two."""
        return "10,5,40,30", "0.1,0.1,0.2,0.2;30,30,10,10"

    def value(self, text: str) -> tuple[Value, ...] | None:
        """Return the boxes in order, each once; `faces` comes last."""
        parts = text.split(";", self.most)
        boxes = {Region().value(part) for part in parts if part != "faces"}
        if None in boxes or len(parts) > self.most:
            return None
        return (*sorted(box for box in boxes if box), *(["faces"] if "faces" in parts else []))

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"type": "string", "example": "faces"}


class Either(msgspec.Struct, frozen=True):
    """What any of several kinds takes; the first that takes it decides."""

    kinds: tuple[Any, ...]

    @property
    def allowed(self) -> str:
        """What each allows."""
        return "; or ".join(kind.allowed for kind in self.kinds)

    @property
    def examples(self) -> tuple[str, ...]:
        """Those of each."""
        return tuple(example for kind in self.kinds for example in kind.examples)

    def value(self, text: str) -> Value | None:
        """Return the value of the first kind that takes the text."""
        values = (kind.value(text) for kind in self.kinds)
        return next((value for value in values if value is not None), None)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"anyOf": [kind.schema() for kind in self.kinds]}
