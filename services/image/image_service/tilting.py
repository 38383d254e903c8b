"""Turning by an angle that is no quarter turn: smooth edges, and no colours but the picture's."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from PIL import Image

from image_service import resampling
from image_service.geometry import Box, Size, tilted

__all__ = ["turned"]

#: Six numbers that lead from a pixel of the answer to where it is in the source.
Matrix: TypeAlias = tuple[float, float, float, float, float, float]

#: Pixels put around the picture: what looks at neighbours finds some.
RIM = 2


def turned(straight: Image.Image, degrees: float, area: Size, box: Box, size: Size) -> Image.Image:
    """Return `box` of a picture that is turned clockwise, in `size`, as LA or RGBA.

    `straight`: L, LA, RGB or RGBA, in any size; `area`: its size in the units of `box`, which is
    within the upright box around the turned picture (`geometry.tilted`).
    """
    factor = max(size[0] / (box[2] - box[0]), size[1] / (box[3] - box[1]))
    middle = (
        _nearly((box[2] - box[0]) * factor, size[0]),
        _nearly((box[3] - box[1]) * factor, size[1]),
    )
    matrix = _matrix(straight.size, degrees, area, box, middle)
    if straight.mode in ("LA", "RGBA"):
        made = _transformed(_framed(straight), middle, matrix, Image.Resampling.BILINEAR)
    else:
        # Apart from each other: a cubic overshoots where what is seen ends, a line of light.
        made = _transformed(_framed(straight), middle, matrix, Image.Resampling.BICUBIC)
        seen = Image.new("L", (straight.width + 2 * RIM, straight.height + 2 * RIM))
        seen.paste(255, (RIM, RIM, RIM + straight.width, RIM + straight.height))
        made.putalpha(_transformed(seen, middle, matrix, Image.Resampling.BILINEAR))
    return resampling.resize(made, size, (0, 0, *middle))


def _nearly(side: float, wanted: int) -> int:
    """Return the side in whole pixels, the one that is wanted if it is as near as that."""
    return wanted if abs(side - wanted) <= 1 else max(1, round(side))


def _framed(picture: Image.Image) -> Image.Image:
    """Return the picture with a rim that has its colours and cannot be seen."""
    values = np.asarray(picture)
    around = ((RIM, RIM), (RIM, RIM), (0, 0))[: values.ndim]
    padded = np.pad(values, around, mode="edge")
    if picture.mode in ("LA", "RGBA"):
        alpha = np.pad(values[..., -1], RIM)
        padded[..., -1] = alpha
    return Image.fromarray(padded)


def _matrix(straight: Size, degrees: float, area: Size, box: Box, size: Size) -> Matrix:
    """Return what leads from a pixel of `size` to one of the framed picture (`straight`)."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    whole = tilted(area, degrees)
    # A step across and down in the answer, in the units of the box.
    across, down = (box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]
    left, top = box[0] - whole[0] / 2, box[1] - whole[1] / 2
    width, height = straight[0] / area[0], straight[1] / area[1]
    return (
        cosine * across * width,
        sine * down * width,
        (cosine * left + sine * top) * width + straight[0] / 2 + RIM,
        -sine * across * height,
        cosine * down * height,
        (-sine * left + cosine * top) * height + straight[1] / 2 + RIM,
    )


def _transformed(
    picture: Image.Image, size: Size, matrix: Matrix, resample: Image.Resampling
) -> Image.Image:
    return picture.transform(size, Image.Transform.AFFINE, matrix, resample=resample)
