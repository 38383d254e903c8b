"""Operations that add noise: gaussian."""

from __future__ import annotations

from functools import cache
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image
from augmentation_service.engine.parameters import Number, Toggle
from augmentation_service.engine.randomness import Stream

__all__ = ["OPERATIONS"]

#: Deviates made at once: they stay in the cache of a core, and memory does not grow with the
#: picture. Whole words of randomness (4 halfwords) go into each block, so that the noise does not
#: depend on its length.
_BLOCK = 1 << 17
_UNIT_BITS, _STD_BITS = 16, 8


@cache
def _upper_quantiles() -> NDArray[np.int64]:
    """Return the normal distribution's quantiles at 1/2 + (i + 1/2) / 65536, in 1/65536.

    Rounded to integers, they are the same whatever the machine's logarithm.
    """
    inverse = NormalDist().inv_cdf
    upper = [inverse(0.5 + (i + 0.5) / 65536) for i in range(32768)]
    quantiles: NDArray[np.int64] = np.rint(np.array(upper) * (1 << _UNIT_BITS)).astype(np.int64)
    return quantiles


def _deviates(std: float) -> NDArray[np.int16]:
    """Return the 65536 equally likely deviations, in levels, of noise with that deviation."""
    shift = _UNIT_BITS + _STD_BITS
    scaled = _upper_quantiles() * round(std * (1 << _STD_BITS))
    upper = ((scaled + (1 << (shift - 1))) >> shift).astype(np.int16)
    return np.concatenate([-upper[::-1], upper])


def _noisy(image: Image, stream: Stream, *, std: float, per_channel: bool) -> Image:
    table = _deviates(std)
    if not table.any():
        return image
    return _added(image, table, stream, per_channel)


def _added(image: Image, table: NDArray[np.int16], stream: Stream, per_channel: bool) -> Image:
    """Return the picture (C = 1 or 3) with deviations added, saturated."""
    # As one row: OpenCV takes small second operands of some shapes for scalars.
    source, result = image.reshape(1, -1), np.empty((1, image.size), np.uint8)
    repeats = 1 if per_channel else image.shape[2]
    step = _BLOCK // 12 * 12
    for start in range(0, image.size, step):
        block = source[:, start : start + step]
        deviates = np.take(table, stream.halfwords(block.size // repeats), mode="clip")
        noise = np.repeat(deviates, repeats) if repeats > 1 else deviates
        cv2.add(block, noise[None], result[:, start : start + step], dtype=cv2.CV_8U)
    return result.reshape(image.shape)


OPERATIONS = (
    PixelOperation(
        name="gaussian_noise",
        category="noise",
        description="Adds normally distributed noise, as sensors have in little light.",
        parameters=(
            Number(
                name="std",
                description="standard deviation of the noise",
                unit="levels of 255",
                least=0,
                most=255,
            ),
            Toggle(
                name="per_channel",
                description="true: coloured, each channel has its own; false: grey, all the same",
                default=True,
            ),
        ),
        function=_noisy,
        exact=True,
        cost="medium",
        eight_bits=True,
        neutral={"std": 0.0},
        example={"std": 25.0},
    ),
)
