"""What inference finds: one versioned struct per task, the `result` of an `inferred` fact."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "Analysis",
    "Box",
    "Colour",
    "Composition",
    "Embedding",
    "Face",
    "Faces",
    "FoundObject",
    "Kind",
    "Label",
    "Labels",
    "Objects",
    "Point",
    "Rectangle",
    "Text",
    "TextLine",
    "Texture",
    "Vertex",
]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A place in the picture, as shares of width and height: 0,0 is top left."""

    x: float
    y: float


class Vertex(msgspec.Struct, frozen=True, kw_only=True):
    """A place in the oriented original: in pixels, and `relative` as shares."""

    x: float
    y: float
    relative: Point


class Rectangle(msgspec.Struct, frozen=True, kw_only=True):
    """An upright rectangle by its top left corner, as shares of width and height."""

    x: float
    y: float
    width: float
    height: float


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """An upright rectangle in the oriented original: in pixels, and `relative` as shares."""

    x: float
    y: float
    width: float
    height: float
    relative: Rectangle


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


class TextLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line as it is read; `polygon` runs clockwise from the corner where reading begins."""

    text: str
    confidence: float
    polygon: list[Vertex]
    box: Box


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """What is written in the picture; `width`, `height`: pixels of the oriented original.

    `text`: all lines in reading order, one a line; `rotation`: degrees by which the picture was
    turned clockwise to be read (0, 90, 180, 270); `languages`: ISO 639-1 codes that the model
    reads; `truncated`: there was more than the limits on lines let through.
    """

    width: int
    height: int
    text: str
    lines: list[TextLine]
    languages: list[str]
    rotation: int = 0
    truncated: bool = False


class Face(msgspec.Struct, frozen=True, kw_only=True):
    """A face; `landmarks` by name (`left_eye`: the one further left in the picture), if found."""

    box: Box
    confidence: float
    pose: Literal["frontal", "profile"] | None = None
    landmarks: dict[str, Vertex] = {}


class Faces(msgspec.Struct, frozen=True, kw_only=True):
    """The faces, surest first; `width`, `height`: pixels of the oriented original."""

    width: int
    height: int
    faces: list[Face]


class FoundObject(msgspec.Struct, frozen=True, kw_only=True):
    """One thing; `detector` is what found it, `decoded` what a code says.

    `polygon`: the outline where the detector gives one (codes), else empty.
    """

    label: str
    confidence: float
    box: Box
    detector: str
    polygon: list[Vertex] = []
    decoded: str | None = None


class Objects(msgspec.Struct, frozen=True, kw_only=True):
    """The things found, surest first; `width`, `height`: pixels of the oriented original."""

    width: int
    height: int
    objects: list[FoundObject]


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """A word for the whole picture, and how sure (0-1).

    `source`: `derived` follows by rule from measurements and the other tasks, `recognised` comes
    from a model. `evidence`: what it rests on, by name (measured values, counts, other labels).
    """

    name: str
    confidence: float
    source: Literal["derived", "recognised"]
    evidence: dict[str, float | str] = {}


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """The labels, surest first; `missing`: tasks whose answers they should rest on and do not."""

    labels: list[Label]
    missing: list[str] = []


class Embedding(msgspec.Struct, frozen=True, kw_only=True):
    """Where the picture lies in the `model`'s space: alike pictures have a high cosine.

    `vector`: `dimensions` float32, little-endian, L2-normalised (base64 in JSON). Only vectors
    of the same model and version can be compared.
    """

    dimensions: int
    vector: bytes
