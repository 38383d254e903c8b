"""Operations that put weather before the lens: fog, rain, snow, spatter."""

from __future__ import annotations

import math

import cv2
import numpy as np

from augmentation_service.engine.clouds import Plane, blended, clouds, darkened, lightened
from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image, size_of
from augmentation_service.engine.parameters import Choice, Number
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.tables import LEVELS, looked_up, rounded
from augmentation_service.engine.warping import colour_of

__all__ = ["OPERATIONS"]

_TOLERANCE = "a few of 255 levels"
_WHITE = (255.0, 255.0, 255.0)
_FOG = "#dadde0"
#: Of every pixel, at the most, one in so many is the start of a drop or the middle of a flake.
_PIXELS_PER_DROP = 130
_PIXELS_PER_FLAKE = 55


def _foggy(image: Image, stream: Stream, *, amount: float, uneven: float) -> Image:
    if not amount:
        return image
    # The field is smooth: a quarter of the pixels say as much.
    width, height = size_of(image)
    small = max(1, width // 4), max(1, height // 4)
    field = clouds(small, 4, 3, stream)
    density = amount / 100 * (1 - uneven / 100 * (1 - field))
    share = cv2.convertScaleAbs(density, alpha=255)
    whole = cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR)
    return blended(image, whole.reshape(height, width), colour_of(_FOG, image.shape[2]))


def _rained(image: Image, stream: Stream, *, amount: float, length: float, angle: float) -> Image:
    if not amount:
        return image
    width, height = size_of(image)
    count = math.ceil(width * height / _PIXELS_PER_DROP * amount / 100)
    x, y, near = stream.units(3 * count).reshape(3, count)
    # Drops that are near are longer; 16 steps to the pixel.
    reach = max(2.0, length / 100 * max(width, height)) * (0.4 + 0.6 * near)
    lean = math.radians(angle)
    starts = np.stack([x * width, y * (height + reach) - reach], axis=1)
    ends = starts + np.stack([reach * math.sin(lean), reach * math.cos(lean)], axis=1)
    lines = np.rint(np.stack([starts, ends], axis=1) * 16).astype(np.int32)
    streaks: Plane = np.zeros((height, width), np.uint8)
    cv2.polylines(streaks, list(lines), False, 150, 1, cv2.LINE_8, 4)
    streaks = cv2.GaussianBlur(streaks, (3, 3), 0).reshape(height, width)
    # Rain comes with less light, and what is behind it is less sharp.
    soft: Image = cv2.GaussianBlur(image, (3, 3), 0)
    dull = looked_up(soft.reshape(image.shape), rounded(LEVELS * (1 - 0.3 * amount / 100)))
    return lightened(dull, streaks, (235.0, 240.0, 255.0))


def _snowed(image: Image, stream: Stream, *, amount: float, size: float) -> Image:
    if not amount:
        return image
    width, height = size_of(image)
    flakes = np.zeros((height, width), np.uint8)
    least = max(0.6, size / 100 * max(width, height) / 2)
    # Far away many and small, near few and large.
    for radius, share in ((least * 0.5, 0.6), (least, 0.3), (least * 1.8, 0.1)):
        count = math.ceil(width * height / _PIXELS_PER_FLAKE * amount / 100 * share / radius)
        layer = np.zeros_like(flakes)
        layer[stream.belows(height, count), stream.belows(width, count)] = 255
        side = 2 * math.ceil(radius) + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        grown = cv2.dilate(layer, disc) if radius > 0.7 else layer
        soft = cv2.GaussianBlur(grown, (side, side), radius / 2).reshape(height, width)
        flakes = np.maximum(flakes, soft)
    # Snow lies on the ground, too: everything is brighter and paler.
    haze = 0.24 * amount / 100
    pale = looked_up(image, rounded(LEVELS * (1 - haze) + 255 * haze))
    return blended(pale, flakes, _WHITE[: image.shape[2]])


def _spattered(image: Image, stream: Stream, *, amount: float, kind: str, size: float) -> Image:
    if not amount:
        return image
    width, height = size_of(image)
    cells = max(2.0, 100 / size)
    field = clouds((width, height), cells, 2, stream)
    level = _level_of(field, amount / 100)
    # From the edge of a drop to its middle in a tenth of the range of values.
    thickness: Plane = np.clip((field - np.float32(level)) * np.float32(12), 0, 1)
    share = cv2.convertScaleAbs(thickness, alpha=255 * _SPATTER[kind][1]).reshape(height, width)
    covered = blended(image, share, colour_of(_SPATTER[kind][0], image.shape[2]))
    if kind == "mud":
        return covered
    # Drops of water shine at their upper edge and are dark below.
    slope = cv2.Sobel(thickness, cv2.CV_32F, 0, 1, ksize=3).reshape(height, width)
    shine = cv2.convertScaleAbs(np.maximum(slope, 0), alpha=70).reshape(height, width)
    shade = cv2.convertScaleAbs(np.maximum(-slope, 0), alpha=70).reshape(height, width)
    return lightened(darkened(covered, cv2.bitwise_not(shade)), shine, _WHITE)


#: Colour, and how much of it is seen.
_SPATTER = {"rain": ("#c8d4dc", 0.35), "mud": ("#4a3522", 0.95)}


def _level_of(field: Plane, share: float) -> float:
    """Return the value that so large a share of a field is above, from one pixel of each 16."""
    return float(np.quantile(field[::4, ::4], 1 - share))


def _amount(description: str) -> Number:
    return Number(name="amount", description=description, unit="percent", least=0, most=100)


OPERATIONS = (
    PixelOperation(
        name="fog",
        category="weather",
        description="Veils the picture in fog, thicker and thinner in places.",
        parameters=(
            _amount("how thick it is; 100 can hide everything"),
            Number(
                name="uneven",
                description="how much thinner it is where it is thinnest",
                unit="percent",
                least=0,
                most=100,
                default=60,
            ),
        ),
        function=_foggy,
        eight_bits=True,
        exact=False,
        tolerance=_TOLERANCE,
        neutral={"amount": 0.0},
        example={"amount": 80.0},
    ),
    PixelOperation(
        name="rain",
        category="weather",
        description="Draws streaks of rain; light and sharpness go down with it.",
        parameters=(
            _amount("how heavy it is"),
            Number(
                name="length",
                description="of the longest streaks",
                unit="percent of the longer side",
                least=0.5,
                most=30,
                default=5,
            ),
            Number(
                name="angle",
                description="how far streaks lean to the right, downwards",
                unit="degrees",
                least=-60,
                most=60,
                default=10,
            ),
        ),
        function=_rained,
        eight_bits=True,
        exact=False,
        tolerance=_TOLERANCE,
        neutral={"amount": 0.0},
        example={"amount": 40.0},
    ),
    PixelOperation(
        name="snow",
        category="weather",
        description="Lets snow fall, near and far; everything becomes paler.",
        parameters=(
            _amount("how heavy it is"),
            Number(
                name="size",
                description="of a flake at middle distance",
                unit="percent of the longer side",
                least=0.2,
                most=5,
                default=0.8,
            ),
        ),
        function=_snowed,
        eight_bits=True,
        exact=False,
        tolerance=_TOLERANCE,
        cost="medium",
        neutral={"amount": 0.0},
        example={"amount": 50.0},
    ),
    PixelOperation(
        name="spatter",
        category="weather",
        description="Puts drops of water or splashes of mud on the lens.",
        parameters=(
            _amount("how much of the picture they cover"),
            Choice(
                name="kind",
                description="of what",
                choices={"rain": "water: bright above, dark below", "mud": "brown, hides"},
                default="rain",
            ),
            Number(
                name="size",
                description="of drops and the gaps between them",
                unit="percent of the longer side",
                least=1,
                most=50,
                default=6,
            ),
        ),
        function=_spattered,
        eight_bits=True,
        exact=False,
        tolerance=_TOLERANCE,
        cost="medium",
        neutral={"amount": 0.0},
        example={"amount": 25.0},
    ),
)
