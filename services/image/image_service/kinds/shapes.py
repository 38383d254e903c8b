"""Kinds that are colours and boxes."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from PIL import ImageColor

from image_service.kinds.kind import Value
from image_service.kinds.numbers import Numbers

__all__ = ["Colours", "Region", "Regions"]


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
