"""Filters that mix the colours of a pixel: matrices (3, 4) on R, G, B, 1 from 0 to 1."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["LUMA", "duotone", "grayscale", "hue", "saturation", "sepia", "tint"]

Matrix: TypeAlias = NDArray[np.float64]

#: Shares of the primaries in luma (ITU-R BT.601, as Pillow's mode L).
LUMA = np.array([0.299, 0.587, 0.114])
_GREY: Matrix = np.hstack([np.tile(LUMA, (3, 1)), np.zeros((3, 1))])
_SAME: Matrix = np.eye(3, 4)
#: W3C Filter Effects, `sepia(1)`.
_SEPIA: Matrix = np.array(
    [[0.393, 0.769, 0.189, 0.0], [0.349, 0.686, 0.168, 0.0], [0.272, 0.534, 0.131, 0.0]]
)


def saturation(value: Any) -> Matrix:
    """`value` per cent more saturated; -100: greys."""
    amount = value / 100.0
    return np.asarray(_SAME + amount * (_SAME - _GREY))


def hue(value: Any) -> Matrix:
    """Turn the hues by `value` degrees, luma kept (W3C Filter Effects, `hue-rotate`)."""
    cosine, sine = math.cos(math.radians(value)), math.sin(math.radians(value))
    turn = np.array([[0.213, 0.715, 0.072]] * 3)
    turn = turn + cosine * (np.eye(3) - turn)
    turn += sine * np.array(
        [[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]]
    )
    return np.hstack([turn, np.zeros((3, 1))])


def grayscale(_value: Any) -> Matrix:
    """Luma alone."""
    return _GREY


def sepia(value: Any) -> Matrix:
    """Brown as an old print, `value` per cent of it."""
    return np.asarray(_SAME + value / 100.0 * (_SEPIA - _SAME))


def tint(value: Any) -> Matrix:
    """Give all pixels the chroma of one colour, and leave each its luma."""
    colour = np.array(value[:3]) / 255.0
    return np.hstack([np.tile(LUMA, (3, 1)), (colour - LUMA @ colour)[:, None]])


def duotone(image: Image.Image, value: Any) -> Image.Image:
    """Map luma to the way from one colour (black) to another (white). `image`: RGB."""
    dark, light = (np.array(colour[:3], float) for colour in value)
    ways = dark + np.linspace(0, 1, 256)[:, None] * (light - dark)
    grey = image.convert("L")
    bands = [grey.point([int(level) for level in np.rint(ways[:, band])]) for band in range(3)]
    return Image.merge("RGB", bands)
