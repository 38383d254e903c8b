"""Kinds that are words: yes and no, choices, text, ids."""

from __future__ import annotations

import unicodedata
from typing import Any

import msgspec
from imagesystem.errors import Rejected
from imagesystem.ids import parse_image_id

from image_service.lettering import drawable

__all__ = ["Choice", "Flag", "ImageId", "Line", "Text", "Words"]

_FLAGS = {"true": True, "1": True, "": True, "false": False, "0": False}


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


class Text(msgspec.Struct, frozen=True):
    """Text of at most `most` characters that there is a font for, in one line."""

    most: int
    example: str

    @property
    def allowed(self) -> str:
        """The bound, and the letters."""
        return f"1 to {self.most} Latin, Greek or Cyrillic letters, digits, signs and spaces"

    @property
    def examples(self) -> tuple[str, ...]:
        """One."""
        return (self.example,)

    def value(self, text: str) -> str | None:
        """Return the text, composed (NFC): there are pictures of "é", and none of its parts."""
        if len(text) > 4 * self.most:
            return None  # (composing takes the square of a text's length)
        line = Line(self.most, self.example).value(unicodedata.normalize("NFC", text))
        return line if line is not None and all(map(drawable, line)) else None

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return Line(self.most, self.example).schema()


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
