"""Every parameter of a rendition, once: what parses, validates, documents and tests them."""

from __future__ import annotations

from typing import Any

import msgspec

from image_service import formats
from image_service.filters import FILTERS, Filter
from image_service.formats import FORMATS
from image_service.geometry import FITS
from image_service.kinds import (
    Choice,
    Colours,
    Either,
    Flag,
    ImageId,
    Integer,
    Line,
    Number,
    Numbers,
    Ratio,
    Region,
    Regions,
    Switch,
    Text,
    Words,
)

__all__ = ["ACCESS", "AUTO", "BY_NAME", "GRAVITIES", "MAX_SIDE", "PARAMETERS", "Parameter"]

MAX_SIDE = 16_384
AUTO = "auto"

#: The nine points, as shares of the room there is: (0, 0) is top left.
GRAVITIES: dict[str, tuple[float, float]] = {
    "centre": (0.5, 0.5),
    "north": (0.5, 0.0),
    "northeast": (1.0, 0.0),
    "east": (1.0, 0.5),
    "southeast": (1.0, 1.0),
    "south": (0.5, 1.0),
    "southwest": (0.0, 1.0),
    "west": (0.0, 0.5),
    "northwest": (0.0, 0.0),
}
_GRAVITY_SPELLINGS = {
    "center": "centre",
    "top": "north",
    "bottom": "south",
    "left": "west",
    "right": "east",
}
_POINT = Numbers((2,), 0, 1, "x,y as shares", "0.3,0.7")
_COLOUR = Colours()


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter; `kind` reads its values (`image_service.kinds`)."""

    name: str
    kind: Any
    category: str
    description: str
    aliases: tuple[str, ...] = ()
    unit: str = ""
    default: str = ""

    @property
    def allowed(self) -> str:
        """The values that can be given, for people."""
        return str(self.kind.allowed)


def _rows(category: str, *rows: dict[str, Any]) -> tuple[Parameter, ...]:
    return tuple(Parameter(category=category, **row) for row in rows)


def _row(name: str, kind: Any, description: str, *aliases: str, **more: str) -> dict[str, Any]:
    return {"name": name, "kind": kind, "description": description, "aliases": aliases, **more}


_SIDE = Integer(1, MAX_SIDE)
_FITS_DESCRIBED = "; ".join(
    f"`{name}`: {(fit.__doc__ or '').rstrip('.')}" for name, fit in FITS.items()
)
_SIZE = _rows(
    "size",
    _row("width", _SIDE, "Width. Alone: the height follows.", "w", unit="pixels"),
    _row("height", _SIDE, "Height. Alone: the width follows.", "h", unit="pixels"),
    _row(
        "fit",
        Choice(tuple(FITS)),
        f"How the picture meets width and height. {_FITS_DESCRIBED}",
        default="inside",
    ),
    _row(
        "preserve_ratio",
        Flag(),
        "`false` is another way to say `fit=fill`.",
        default="true",
    ),
    _row(
        "aspect_ratio",
        Ratio(),
        "Width to height, by `fit` (`cover` if none is given); with one side, the other follows.",
        "ar",
    ),
    _row("enlarge", Flag(), "Whether pixels may be made up.", "el", default="false"),
    _row(
        "dpr",
        Number(0.1, 8),
        "Multiplies width, height, their bounds, padding, round and text_size: device pixels.",
        default="1",
    ),
    _row(
        "zoom",
        Number(0.01, 16),
        "Multiplies width and height; without them, the picture's own size.",
        default="1",
    ),
    _row("min_width", _SIDE, "Not narrower, while there are pixels.", "mw", unit="pixels"),
    _row("min_height", _SIDE, "Not lower, while there are pixels.", "mh", unit="pixels"),
    _row("max_width", _SIDE, "Not wider.", unit="pixels"),
    _row("max_height", _SIDE, "Not higher.", unit="pixels"),
    _row("orient", Flag(), "Turn upright as EXIF says.", default="true"),
    _row("flip", Flag(), "Mirror top to bottom.", default="false"),
    _row("flop", Flag(), "Mirror left to right.", default="false"),
    _row(
        "rotate",
        Number(-360, 360),
        "Turn clockwise, after flip and flop and before the size; the corners of angles between "
        "are background.",
        "r",
        unit="degrees",
        default="0",
    ),
)
_CROP = _rows(
    "crop",
    _row("crop", Region(), "A box of the upright original, before everything else."),
    _row(
        "trim",
        Switch(0, 255, 10),
        "Cut edges of one colour; the number is how far levels may be from it.",
        unit="levels",
    ),
    _row(
        "gravity",
        Either((Choice((*GRAVITIES, "smart"), _GRAVITY_SPELLINGS), _POINT)),
        "What stays where `cover` cuts, and where the picture stands where it is padded: a point "
        "of the picture, or `smart`: the faces, else the objects that were found in it, else "
        "where the eye goes.",
        "g",
        default="centre",
    ),
)
_BACKGROUND = _rows(
    "background",
    _row(
        "background",
        Either((_COLOUR, Choice((AUTO, "blur")))),
        "What is around the picture and behind its transparent pixels: a colour, `auto` (that of "
        "most of its edge), or `blur` (itself). Without it: transparent, or white.",
        "bg",
    ),
    _row(
        "extend",
        Flag(),
        "Pad to exactly width and height what is smaller.",
        default="false",
    ),
    _row(
        "padding",
        Numbers((1, 2, 4), 0, 4096, "all | vertical,horizontal | top,right,bottom,left", "10,20"),
        "Background around the picture, added to its size.",
        "pad",
        unit="pixels",
    ),
)
_SHAPE = _rows(
    "shape",
    _row("round", Integer(0, MAX_SIDE), "Rounded corners of this radius.", unit="pixels"),
    _row("circle", Flag(), "The largest circle in the middle; nothing around it."),
)
_WATERMARK = _rows(
    "watermark",
    _row("watermark", ImageId(), "Another image, drawn over this one.", "wm"),
    _row(
        "watermark_position",
        Choice(tuple(GRAVITIES), _GRAVITY_SPELLINGS),
        "Where it stands.",
        default="southeast",
    ),
    _row("watermark_opacity", Number(0, 1), "How much of it is seen.", default="0.5"),
    _row(
        "watermark_scale",
        Number(0.01, 1),
        "Its width as a share of the picture's; it never becomes higher than the picture.",
        default="0.25",
    ),
    _row("watermark_tile", Flag(), "Repeat it all over.", default="false"),
)
_TEXT = _rows(
    "text",
    _row("text", Text(200, "© 2026"), "A label, drawn over the picture; wraps at its width."),
    _row("text_size", Integer(4, 1000), "Height of a line.", unit="pixels"),
    _row("text_colour", _COLOUR, "Its colour.", "text_color", default="white"),
    _row("text_background", _COLOUR, "A box behind it.", default="00000080"),
    _row(
        "text_position",
        Choice(tuple(GRAVITIES), _GRAVITY_SPELLINGS),
        "Where it stands.",
        default="south",
    ),
)
_REDACTION = _rows(
    "redaction",
    _row(
        "redact",
        Regions(32),
        "Make boxes of the upright original unrecognisable, or all faces found in it. While its "
        "faces are not known, the answer is an error and never the picture.",
    ),
    _row(
        "redact_with",
        Choice(("pixelate", "blur", "fill")),
        "How. Only `fill` leaves nothing of what was there.",
        default="pixelate",
    ),
)
_FORMAT = _rows(
    "format",
    _row(
        "format",
        Choice((AUTO, *FORMATS), formats.ALIASES),
        "The format of the answer; `auto`: AVIF or WebP if `Accept` names them. "
        "Without it, the original's (PNG for TIFF and BMP).",
        "f",
    ),
    _row(
        "quality",
        Integer(1, 100),
        "Quality of JPEG (80), WebP (80) and AVIF (60); lossless formats have none.",
        "q",
    ),
    _row("lossless", Flag(), "Of WebP; the formats that never lose are lossless anyway."),
    _row("progressive", Flag(), "JPEG that appears in passes.", default="false"),
    _row(
        "subsampling",
        Choice(("4:4:4", "4:2:2", "4:2:0")),
        "Chroma of JPEG and AVIF: full, half or a quarter of the pixels.",
        default="4:2:0",
    ),
    _row("palette", Integer(2, 256), "Colours of PNG and GIF.", "colours", "colors"),
    _row(
        "max_bytes",
        Integer(100, 100_000_000),
        "The largest answer: the best quality that fits, else 422.",
        unit="bytes",
    ),
    _row(
        "animate",
        Flag(),
        "Keep an animation animated. Without it: if the answer's format is GIF, WebP, AVIF or "
        "the original's own.",
    ),
    _row("frame", Integer(0, 100_000), "One frame (or page) of several, the first is 0.", "page"),
    _row(
        "keep",
        Words(("copyright", "profile")),
        "Of the original's metadata: EXIF copyright and artist; the colour profile (else the "
        "colours become sRGB). Everything else is stripped.",
    ),
)
_FALLBACK = _rows(
    "fallback",
    _row(
        "fallback",
        ImageId(),
        "An image to show where this one is missing or broken: with the status of the error, "
        "`X-Fallback-For`, and never kept.",
    ),
)
_PRESET = _rows(
    "preset",
    _row(
        "preset",
        Line(200, "thumb"),
        "Parameters by name, from the configuration (`PRESETS`); several with commas. What else "
        "is said goes first.",
        "p",
    ),
)
#: Who may ask, and how long: read by `signatures`, no part of a recipe.
ACCESS = _rows(
    "access",
    _row("signature", Line(64, "6f3a"), "HMAC-SHA256 in base64url; see how-to/sign-urls.", "s"),
    _row("expires", Integer(1, 99_999_999_999), "When the URL ends to hold.", unit="Unix seconds"),
)


def _of(filter_: Filter) -> Parameter:
    return Parameter(
        name=filter_.name,
        kind=filter_.kind,
        category="filters",
        description=filter_.description,
        aliases=filter_.aliases,
        unit=filter_.unit,
    )


PARAMETERS: tuple[Parameter, ...] = (
    *_SIZE,
    *_CROP,
    *_BACKGROUND,
    *(_of(filter_) for filter_ in FILTERS.values()),
    *_SHAPE,
    *_WATERMARK,
    *_TEXT,
    *_REDACTION,
    *_FORMAT,
    *_FALLBACK,
    *_PRESET,
    *ACCESS,
)
BY_NAME: dict[str, Parameter] = {
    name: parameter for parameter in PARAMETERS for name in (parameter.name, *parameter.aliases)
}
