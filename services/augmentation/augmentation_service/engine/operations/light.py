"""Operations that change the light of a scene: shadows, the sun in the lens."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.clouds import Plane, darkened, lightened
from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image, Size, size_of
from augmentation_service.engine.parameters import Integer, Number
from augmentation_service.engine.randomness import Stream

__all__ = ["OPERATIONS"]

_TOLERANCE = "a few of 255 levels"
#: Reflections in the lens: where between the sun (0) and its mirror image (1), radius of the
#: longer side, brightness, colour.
_GHOSTS = (
    (0.35, 0.020, 0.35, (255.0, 170.0, 110.0)),
    (0.55, 0.045, 0.16, (150.0, 255.0, 170.0)),
    (0.80, 0.012, 0.45, (130.0, 190.0, 255.0)),
    (1.00, 0.070, 0.12, (255.0, 150.0, 220.0)),
    (1.25, 0.030, 0.22, (160.0, 210.0, 255.0)),
)


def _shaded(image: Image, stream: Stream, *, darkness: float, count: int, corners: int) -> Image:
    if not darkness:
        return image
    width, height = size_of(image)
    light = np.full((height, width), 255, np.uint8)
    for _ in range(count):
        # The corners go around a place, so that no edge crosses another.
        middle = np.array([stream.unit() * width, stream.unit() * height])
        turns = np.sort(stream.units(corners)) * 2 * math.pi
        reach = (0.15 + 0.35 * stream.units(corners)) * max(width, height)
        around = np.stack([np.cos(turns), np.sin(turns)], axis=1) * reach[:, None]
        outline = np.rint((middle + around) * 16).astype(np.int32)
        shadow = round(255 * (1 - darkness / 100))
        cv2.fillPoly(light, [outline], shadow, cv2.LINE_AA, 4)
    side = 2 * (max(width, height) // 100) + 1
    return darkened(image, cv2.blur(light, (side, side)).reshape(height, width))


def _flared(
    image: Image, stream: Stream, *, strength: float, radius: float, x: float, y: float
) -> Image:
    del stream
    if not strength:
        return image
    width, height = size_of(image)
    sun = np.array([x / 100 * width, y / 100 * height])
    glow = _glow((width, height), sun, radius / 100 * max(width, height), strength / 100)
    result = lightened(image, glow, (255.0, 246.0, 225.0))
    mirrored = np.array([width, height]) - sun
    for place, part, brightness, colour in _GHOSTS:
        at = sun + (mirrored - sun) * place
        result = _ghost(result, at, part * max(width, height), brightness * strength / 100, colour)
    return result


def _glow(size: Size, sun: NDArray[np.float64], radius: float, strength: float) -> Plane:
    """Return the light around the sun, (H, W); smooth, so that a quarter of the pixels say it."""
    width, height = size
    columns, rows = max(1, width // 4), max(1, height // 4)
    x = (np.arange(columns) + 0.5) * (width / columns) - sun[0]
    y = (np.arange(rows) + 0.5) * (height / rows) - sun[1]
    away = np.sqrt(x[None] ** 2 + y[:, None] ** 2).astype(np.float32) / np.float32(radius)
    rays = 1 + 0.12 * np.cos(np.arctan2(y[:, None], x[None]) * 12).astype(np.float32)
    light = 0.55 * np.exp(-3 * away) * rays + 1.2 * np.exp(-((away * 5) ** 2))
    levels = cv2.convertScaleAbs(light, alpha=255 * strength)
    whole: Plane = cv2.resize(levels, (width, height), interpolation=cv2.INTER_LINEAR)
    return whole.reshape(height, width)


def _ghost(
    image: Image,
    at: NDArray[np.float64],
    radius: float,
    brightness: float,
    colour: tuple[float, ...],
) -> Image:
    """Return the picture with a disc of light, made where it is and nowhere else."""
    width, height = size_of(image)
    reach = math.ceil(radius) + 2
    left, top = (max(0, math.floor(place) - reach) for place in at)
    right, bottom = min(width, int(at[0]) + reach), min(height, int(at[1]) + reach)
    if left >= right or top >= bottom:
        return image
    light = np.zeros((bottom - top, right - left), np.uint8)
    middle = (round((at[0] - left) * 16), round((at[1] - top) * 16))
    level = round(255 * min(1, brightness))
    cv2.circle(light, middle, max(1, round(radius * 16)), level, -1, cv2.LINE_AA, 4)
    part = np.ascontiguousarray(image[top:bottom, left:right])
    image[top:bottom, left:right] = lightened(part, light, colour)
    return image


OPERATIONS = (
    PixelOperation(
        name="shadow",
        category="weather",
        description="Casts shadows with straight, soft edges.",
        parameters=(
            Number(
                name="darkness",
                description="how much light they take",
                unit="percent",
                least=0,
                most=100,
                default=50,
            ),
            Integer(
                name="count", description="how many", unit="shadows", least=1, most=8, default=1
            ),
            Integer(
                name="corners", description="of each", unit="corners", least=3, most=10, default=5
            ),
        ),
        function=_shaded,
        eight_bits=True,
        exact=False,
        tolerance=_TOLERANCE,
        neutral={"darkness": 0.0},
        example={"darkness": 60.0, "count": 2},
    ),
    PixelOperation(
        name="sun_flare",
        category="weather",
        description="Lets the sun shine into the lens: a glow, and its reflections.",
        parameters=(
            Number(
                name="strength",
                description="how bright it is",
                unit="percent",
                least=0,
                most=100,
                default=80,
            ),
            Number(
                name="radius",
                description="of the glow",
                unit="percent of the longer side",
                least=5,
                most=100,
                default=50,
            ),
            Number(
                name="x",
                description="where the sun is, from the left",
                unit="percent of the width",
                least=0,
                most=100,
                default=25,
            ),
            Number(
                name="y",
                description="where the sun is, from above",
                unit="percent of the height",
                least=0,
                most=100,
                default=15,
            ),
        ),
        function=_flared,
        eight_bits=True,
        exact=False,
        tolerance=_TOLERANCE,
        neutral={"strength": 0.0},
    ),
)
