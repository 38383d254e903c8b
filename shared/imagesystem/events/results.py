"""What inference finds: one versioned struct per task, the `result` of an `inferred` fact."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "Analysis",
    "Colour",
    "Composition",
    "Kind",
    "Point",
    "Texture",
]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A place in the picture, as shares of width and height: 0,0 is top left."""

    x: float
    y: float


class Colour(msgspec.Struct, frozen=True, kw_only=True):
    """A dominant colour: its nearest CSS name, sRGB hex (`#rrggbb`) and share of pixels (0-1)."""

    name: str
    hex: str
    share: float


class Texture(msgspec.Struct, frozen=True, kw_only=True):
    """Fine structure: uniform local binary patterns and edges.

    `lbp` is the normalised histogram of uniform patterns (8 neighbours, radius 1: 10 bins),
    `uniformity` its energy (0.1-1), `edge_density` the share of Canny edge pixels (0-1).
    """

    lbp: list[float]
    uniformity: float
    edge_density: float


class Composition(msgspec.Struct, frozen=True, kw_only=True):
    """How the picture is laid out; every score is 0-1.

    `thirds`: how much of the saliency lies near the four intersections of thirds;
    `symmetry_horizontal`: likeness to its left-right mirror image, `symmetry_vertical`: to its
    top-bottom mirror image; `saliency_centre`: where the eye goes.
    """

    thirds: float
    symmetry_horizontal: float
    symmetry_vertical: float
    saliency_centre: Point


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """Photo, graphic or document, how sure (0-1), and the measurements that say so."""

    name: Literal["photo", "graphic", "document"]
    confidence: float
    evidence: dict[str, float]


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """What can be measured in any picture.

    `width`, `height`: pixels of the oriented picture; `orientation`: its shape;
    `brightness`: mean luma 0-1; `contrast`: standard deviation of luma 0-1 (RMS contrast);
    `saturation`: mean HSV saturation 0-1; `sharpness`: variance of the Laplacian of 8-bit luma
    at the analysis scale; `entropy`: bits per pixel of luma, 0-8; `phash`: 64-bit DCT hash,
    16 hex digits; `blurhash`: see blurha.sh, 4 x 3 components.
    """

    width: int
    height: int
    orientation: Literal["landscape", "portrait", "square"]
    colours: list[Colour]
    brightness: float
    contrast: float
    saturation: float
    sharpness: float
    entropy: float
    texture: Texture
    composition: Composition
    kind: Kind
    phash: str
    blurhash: str
