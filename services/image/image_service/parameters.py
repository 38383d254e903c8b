"""What a client may ask of a rendition: one table that parses, validates and documents.

`parse` turns a query string into `Wanted`, `resolve` turns that into a `Recipe`: the one
normal form of everything that asks for the same rendition.
"""

from __future__ import annotations

from typing import Literal, TypeAlias
from urllib.parse import parse_qsl

import msgspec
from imagesystem.errors import Rejected

from image_service import formats
from image_service.formats import FORMATS
from image_service.geometry import FITS, Size

__all__ = [
    "AUTO",
    "PARAMETERS",
    "Choice",
    "Integer",
    "Parameter",
    "Recipe",
    "Wanted",
    "parse",
    "resolve",
]

MAX_SIDE = 16_384
MAX_FIELDS = 64
AUTO = "auto"


class Integer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole number within bounds."""

    name: str
    least: int
    most: int
    description: str
    aliases: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """The values that can be given, for people."""
        return f"{self.least} to {self.most}"

    def value(self, text: str) -> int | None:
        """Return the value that `text` says, None if it cannot be given."""
        # Nothing but ASCII digits: int() also takes "+5", " 5", "5_0" and other scripts' digits.
        if not (text.isascii() and text.isdigit() and len(text) <= 9):
            return None
        number = int(text)
        return number if self.least <= number <= self.most else None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One of some words."""

    name: str
    words: tuple[str, ...]
    description: str
    aliases: tuple[str, ...] = ()
    spellings: dict[str, str] = {}

    @property
    def allowed(self) -> str:
        """The values that can be given, for people."""
        return ", ".join(self.words)

    def value(self, text: str) -> str | None:
        """Return the value that `text` says, None if it cannot be given."""
        word = self.spellings.get(text, text)
        return word if word in self.words else None


Parameter: TypeAlias = Integer | Choice

_FITS_DESCRIBED = "; ".join(f"`{name}`: {fit.__doc__}" for name, fit in FITS.items())

PARAMETERS: tuple[Parameter, ...] = (
    Integer(
        name="width",
        aliases=("w",),
        least=1,
        most=MAX_SIDE,
        description="Width in pixels. Alone: the height follows. Never enlarges.",
    ),
    Integer(
        name="height",
        aliases=("h",),
        least=1,
        most=MAX_SIDE,
        description="Height in pixels. Alone: the width follows. Never enlarges.",
    ),
    Choice(
        name="fit",
        words=tuple(FITS),
        description=f"How the picture meets width and height. {_FITS_DESCRIBED}",
    ),
    Choice(
        name="format",
        aliases=("f",),
        words=(AUTO, *FORMATS),
        spellings=formats.ALIASES,
        description=(
            "The format of the answer; `auto`: AVIF or WebP if `Accept` names them. "
            "Without it, the original's (PNG for TIFF and BMP)."
        ),
    ),
    Integer(
        name="quality",
        aliases=("q",),
        least=1,
        most=100,
        description="Quality of JPEG (80), WebP (80) and AVIF (60); lossless formats have none.",
    ),
)
_BY_NAME: dict[str, Parameter] = {
    name: parameter for parameter in PARAMETERS for name in (parameter.name, *parameter.aliases)
}
_ALLOWED_NAMES = ", ".join(parameter.name for parameter in PARAMETERS)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the client said, valid; the fields are the parameters of the table."""

    width: int | None = None
    height: int | None = None
    fit: str = "inside"
    format: str | None = None
    quality: int | None = None


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What will be made: nothing left open, and the same for every way to say it.

    With the digest of the source and the engine's version, it names the bytes of a rendition.
    """

    width: int | None
    height: int | None
    fit: str
    format: str
    quality: int | None


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
    values: dict[str, int | str] = {}
    for name, text in pairs:
        parameter = _BY_NAME.get(name)
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
        value = parameter.value(text)
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
    return msgspec.convert(values, Wanted) if values else None


def resolve(wanted: Wanted, media_type: str, size: Size, accept: str) -> Recipe:
    """Return the recipe for a source of this media type and size (pixels, as stored).

    `accept` is the client's `Accept` header; it matters with `format=auto` alone.
    """
    name = wanted.format or formats.DEFAULTS.get(media_type, "png")
    if name == AUTO:
        # Both sides of the answer are bounded by these, whatever the fit.
        longest = max(*size, wanted.width or 1, wanted.height or 1)
        name = _negotiate(accept, longest) or formats.DEFAULTS.get(media_type, "png")
    default_quality = FORMATS[name].quality
    both = wanted.width is not None and wanted.height is not None
    return Recipe(
        width=wanted.width,
        height=wanted.height,
        fit=_SAME.get(wanted.fit, wanted.fit) if both else "inside",
        format=name,
        quality=default_quality and (wanted.quality or default_quality),
    )


#: Fits that differ in name only, as long as nothing enlarges.
_SAME: dict[str, Literal["inside"]] = {"scale-down": "inside"}


def _negotiate(accept: str, longest: int) -> str | None:
    """Return the best format that `Accept` names; wildcards promise no modern format (curl)."""
    named: set[str] = set()
    for entry in accept.split(","):
        media_type, *attributes = (part.strip().lower() for part in entry.split(";"))
        refused = any(
            attribute.replace(" ", "") in ("q=0", "q=0.0", "q=0.00", "q=0.000")
            for attribute in attributes
        )
        if not refused:
            named.add(media_type)
    for name in formats.NEGOTIATED:
        if FORMATS[name].media_type in named and longest <= FORMATS[name].max_side:
            return name
    return None
