"""Operations that mix the channels of colour pictures: saturation, hue, sepia, jitter.

All of them are one matrix; the matrices are those of the W3C's Filter Effects Module Level 1
(https://www.w3.org/TR/filter-effects-1/), which keep luma where they turn hues.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image, top_of
from augmentation_service.engine.parameters import Colour, Number
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.tables import LEVELS, toned
from augmentation_service.engine.warping import colour_of

__all__ = ["OPERATIONS"]

#: 3 x 4: what each channel takes of red, green and blue, and what is added, of 1.
_Mixture = NDArray[np.float64]
_LUMA = np.array([0.213, 0.715, 0.072])
_SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])
_TOLERANCE = "one of 255 levels"


def _mixed(image: Image, matrix: _Mixture) -> Image:
    """Return what a 3 x 3 or 3 x 4 matrix makes of every pixel, cut off."""
    if matrix.shape[1] == 4:
        matrix = matrix * np.array([1, 1, 1, top_of(image)])
    result: Image = cv2.transform(image, matrix)
    return result if image.dtype == np.uint8 else np.clip(result, 0, 1)


def _saturating(factor: float) -> _Mixture:
    return np.eye(3) * factor + np.tile(_LUMA, (3, 1)) * (1 - factor)


def _turning(degrees: float) -> _Mixture:
    angle = math.radians(degrees)
    across = np.array([[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]])
    grey = np.tile(_LUMA, (3, 1))
    turned: _Mixture = grey + (np.eye(3) - grey) * math.cos(angle) + across * math.sin(angle)
    return turned


def _saturated(image: Image, stream: Stream, *, factor: float) -> Image:
    del stream
    return image if factor == 1 else _mixed(image, _saturating(factor))


def _turned(image: Image, stream: Stream, *, angle: float) -> Image:
    del stream
    return image if angle == 0 else _mixed(image, _turning(angle))


def _browned(image: Image, stream: Stream, *, amount: float) -> Image:
    del stream
    share = amount / 100
    return _mixed(image, _SEPIA * share + np.eye(3) * (1 - share)) if share else image


def _greyed(image: Image, stream: Stream) -> Image:
    del stream
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def _tinted(image: Image, stream: Stream, *, colour: str, amount: float) -> Image:
    del stream
    share = amount / 100
    passing = np.array(colour_of(colour, 3)) / 255 * share + (1 - share)
    return toned(image, passing[:, None] * LEVELS) if share else image


def _jittered(
    image: Image,
    stream: Stream,
    *,
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
) -> Image:
    brighter, harder, stronger = (
        1 + strength * (2 * stream.unit() - 1) for strength in (brightness, contrast, saturation)
    )
    angle = hue * (2 * stream.unit() - 1)
    if not (brightness or contrast or saturation or hue):
        return image
    mixture = _turning(angle) @ _saturating(stronger) * harder * brighter
    # Contrast is about the mean luma of the picture, as it is when it has been brightened.
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    mean = cv2.mean(grey)[0] / top_of(image) * brighter
    offset = np.full((3, 1), mean * (1 - harder))
    return _mixed(image, np.hstack([mixture, offset]))


def _strength(name: str, description: str) -> Number:
    return Number(name=name, description=description, unit="share", least=0, most=1, default=0)


_AMOUNT = Number(
    name="amount",
    description="how much: 0 nothing, 100 all of it",
    unit="percent",
    least=0,
    most=100,
    default=100,
)

OPERATIONS = (
    PixelOperation(
        name="saturation",
        category="colour",
        description="Makes colours stronger or paler; luma stays.",
        parameters=(
            Number(
                name="factor",
                description="0 makes grey, 2 twice as colourful",
                unit="factor",
                least=0,
                most=5,
            ),
        ),
        function=_saturated,
        needs_colour=True,
        exact=False,
        tolerance=_TOLERANCE,
        neutral={"factor": 1.0},
        example={"factor": 2.2},
    ),
    PixelOperation(
        name="hue",
        category="colour",
        description="Turns all hues around the circle of colours; luma stays.",
        parameters=(
            Number(
                name="angle",
                description="how far: 120 makes red green",
                unit="degrees",
                least=-180,
                most=180,
            ),
        ),
        function=_turned,
        needs_colour=True,
        exact=False,
        tolerance=_TOLERANCE,
        neutral={"angle": 0.0},
        example={"angle": 70.0},
    ),
    PixelOperation(
        name="colour_jitter",
        category="colour",
        description="Draws factors of brightness, contrast and saturation, and an angle of hue, "
        "and applies them together.",
        parameters=(
            _strength("brightness", "the factor is drawn from 1 minus to 1 plus this"),
            _strength("contrast", "likewise, about the mean luma"),
            _strength("saturation", "likewise"),
            Number(
                name="hue",
                description="the angle is drawn from minus to plus this",
                unit="degrees",
                least=0,
                most=180,
                default=0,
            ),
        ),
        function=_jittered,
        needs_colour=True,
        exact=False,
        tolerance=_TOLERANCE,
        neutral={"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0},
        example={"brightness": 0.4, "contrast": 0.4, "saturation": 0.6, "hue": 30.0},
    ),
    PixelOperation(
        name="grayscale",
        category="colour",
        description="Takes all colour away: each channel becomes luma (ITU-R BT.601).",
        parameters=(),
        function=_greyed,
        needs_colour=True,
        exact=True,
    ),
    PixelOperation(
        name="sepia",
        category="colour",
        description="Makes the brown of old photographs.",
        parameters=(_AMOUNT,),
        function=_browned,
        needs_colour=True,
        exact=False,
        tolerance=_TOLERANCE,
        neutral={"amount": 0.0},
    ),
    PixelOperation(
        name="tint",
        category="colour",
        description="Colours the picture as a filter before the lens would: multiplies.",
        parameters=(
            Colour(name="colour", description="of the filter; its opacity does not count"),
            _AMOUNT,
        ),
        function=_tinted,
        needs_colour=True,
        exact=True,
        neutral={"amount": 0.0},
        example={"colour": "#ffb060", "amount": 80.0},
    ),
)
