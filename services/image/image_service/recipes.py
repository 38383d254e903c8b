"""What will be made: nothing left open, and the same for every way to say it."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from image_service.kinds import Value

__all__ = ["Area", "Label", "Recipe", "Redaction", "Source", "Subject", "Watermark"]

#: A box as it was said: unit (`px` or `share`), left, top, width, height.
Area: TypeAlias = tuple[str, float, float, float, float]
Colour: TypeAlias = tuple[int, int, int, int]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an original without reading it; sides in pixels, as stored."""

    media_type: str
    width: int
    height: int
    frames: int = 1


class Subject(msgspec.Struct, frozen=True):
    """Something that a crop should show: a box in shares of the upright original, and how much
    it matters.
    """

    left: float
    top: float
    width: float
    height: float
    weight: float


class Watermark(msgspec.Struct, frozen=True, kw_only=True):
    """Another image over this one."""

    image_id: str
    position: str
    opacity: float
    scale: float
    tile: bool


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """Text over the picture; `size` 0: a twentieth of the picture's shorter side."""

    text: str
    size: int
    colour: Colour
    background: Colour
    position: str


class Redaction(msgspec.Struct, frozen=True, kw_only=True):
    """What is made unrecognisable, and how."""

    areas: tuple[Area, ...]
    style: str


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """One rendition of one original.

    With the digest of the source and the engine's version, it names the bytes of a rendition:
    what differs in nothing that is seen must be equal here, what differs must not. `evidence`
    holds the stream sequences of the facts that had a say.
    """

    format: str
    quality: int | None = None
    width: int | None = None
    height: int | None = None
    fit: str = "inside"
    aspect_ratio: float | None = None
    enlarge: bool = False
    zoom: float = 1.0
    least: tuple[int, int] = (1, 1)
    most: tuple[int, int] = (1 << 30, 1 << 30)
    orient: bool = True
    flop: bool = False
    turn: int = 0
    tilt: float = 0.0
    crop: Area | None = None
    trim: float | None = None
    focus: tuple[float, float] = (0.5, 0.5)
    smart: bool = False
    subjects: tuple[Subject, ...] = ()
    background: Colour | str | None = None
    extend: bool = False
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    filters: tuple[tuple[str, Value], ...] = ()
    corner: int = 0
    circle: bool = False
    watermark: Watermark | None = None
    label: Label | None = None
    redaction: Redaction | None = None
    lossless: bool = False
    progressive: bool = False
    subsampling: str | None = None
    palette: int | None = None
    max_bytes: int | None = None
    animate: bool = False
    frame: int = 0
    keep: tuple[str, ...] = ()
    evidence: dict[str, int] = {}

    def sources(self) -> tuple[str, ...]:
        """Return the ids of the other images that are seen in the rendition."""
        return (self.watermark.image_id,) if self.watermark is not None else ()
