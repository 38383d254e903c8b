"""Operations that bend tones, all channels alike: brightness and contrast, gamma, curves."""

from __future__ import annotations

import numpy as np

from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image
from augmentation_service.engine.parameters import Number
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.tables import LEVELS, toned

__all__ = ["OPERATIONS"]


def _contrasted(image: Image, stream: Stream, *, brightness: float, contrast: float) -> Image:
    del stream
    if not brightness and not contrast:
        return image
    return toned(image, (LEVELS - 127.5) * (1 + contrast / 100) + 127.5 + brightness * 255 / 100)


def _powered(image: Image, stream: Stream, *, gamma: float) -> Image:
    del stream
    if gamma == 1:
        return image
    return toned(image, 255 * np.power(LEVELS / 255, gamma))


def _curved(image: Image, stream: Stream, *, shadows: float, highlights: float) -> Image:
    del stream
    if not shadows and not highlights:
        return image
    # A cubic Bézier curve: its inner points stand at thirds of the way, moved up or down.
    low, high = 1 / 3 + shadows / 100, 2 / 3 + highlights / 100
    t = LEVELS / 255
    return toned(image, 255 * (3 * (1 - t) ** 2 * t * low + 3 * (1 - t) * t**2 * high + t**3))


OPERATIONS = (
    PixelOperation(
        name="brightness_contrast",
        category="colour",
        description="Multiplies the distance of every value from mid-grey, and adds to it.",
        parameters=(
            Number(
                name="brightness",
                description="how much is added",
                unit="percent of the full range",
                least=-100,
                most=100,
                default=0,
            ),
            Number(
                name="contrast",
                description="how much further from mid-grey values are put; -100: all the same",
                unit="percent",
                least=-100,
                most=300,
                default=0,
            ),
        ),
        function=_contrasted,
        exact=True,
        neutral={"brightness": 0.0, "contrast": 0.0},
        example={"brightness": 10.0, "contrast": 60.0},
    ),
    PixelOperation(
        name="gamma",
        category="colour",
        description="Raises every value, 0 to 1, to a power: black and white stay.",
        parameters=(
            Number(
                name="gamma",
                description="the power: below 1 brighter, above 1 darker",
                unit="exponent",
                least=0.1,
                most=10,
            ),
        ),
        function=_powered,
        exact=True,
        neutral={"gamma": 1.0},
        example={"gamma": 0.5},
    ),
    PixelOperation(
        name="tone_curve",
        category="colour",
        description="Bends tones by a cubic Bézier curve from black to white.",
        parameters=(
            Number(
                name="shadows",
                description="how much brighter the darker third is aimed at",
                unit="percent of the full range",
                least=-33,
                most=66,
                default=0,
            ),
            Number(
                name="highlights",
                description="how much brighter the brighter third is aimed at",
                unit="percent of the full range",
                least=-66,
                most=33,
                default=0,
            ),
        ),
        function=_curved,
        exact=True,
        neutral={"shadows": 0.0, "highlights": 0.0},
        example={"shadows": -25.0, "highlights": 25.0},
    ),
)
