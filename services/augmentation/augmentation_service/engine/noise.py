"""Operations that add noise: gaussian."""

from __future__ import annotations

from functools import cache
from statistics import NormalDist
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.images import Image, with_channels
from augmentation_service.engine.operations import PixelOperation
from augmentation_service.engine.parameters import Number, Toggle
from augmentation_service.engine.randomness import Stream

__all__ = ["OPERATIONS"]

#: Deviates made at once: they stay in the cache of a core, and memory does not grow with the
#: picture. Whole words of randomness (4 halfwords) go into each block, so that the noise does not
#: depend on its length.
_BLOCK = 1 << 17
_UNIT_BITS, _STD_BITS = 16, 8


@cache
def _quantiles() -> NDArray[np.int64]:
    """Return the normal distribution's quantiles at (i + 1/2) / 65536, in 1/65536.

    Rounded to integers, they are the same whatever the machine's logarithm.
    """
    inverse = NormalDist().inv_cdf
    upper = np.array([inverse(0.5 + (i + 0.5) / 65536) for i in range(32768)])
    rounded = np.rint(upper * (1 << _UNIT_BITS)).astype(np.int64)
    return np.concatenate([-rounded[::-1], rounded])


def _deviates(std: float) -> NDArray[np.int16]:
    """Return the 65536 equally likely deviations, in levels, of noise with that deviation."""
    shift = _UNIT_BITS + _STD_BITS
    scaled = _quantiles() * round(std * (1 << _STD_BITS))
    magnitude = (np.abs(scaled) + (1 << (shift - 1))) >> shift
    deviates: NDArray[np.int16] = (np.sign(scaled) * magnitude).astype(np.int16)
    return deviates


def _noisy(image: Image, stream: Stream, *, std: float, per_channel: bool) -> Image:
    table = _deviates(std)
    if not table.any():
        return image
    height, width, channels = image.shape
    colours = min(channels, 3)
    drawn = colours if per_channel else 1
    result = np.empty_like(image)
    source, target = image.reshape(-1, channels), result.reshape(-1, channels)
    step = _BLOCK // drawn // 4 * 4
    for start in range(0, height * width, step):
        block = source[start : start + step]
        deviates = np.take(table, stream.halfwords(len(block) * drawn), mode="clip")
        target[start : start + step] = _added(block, deviates.reshape(len(block), drawn))
    return result


def _added(block: Image, deviates: NDArray[np.int16]) -> Image:
    """Return pixels (N, C) with deviations (N, 1 or colours) added, saturated; alpha stays."""
    channels = block.shape[1]
    noise: NDArray[Any] = deviates
    if deviates.shape[1] != channels:
        noise = np.zeros(block.shape, np.int16)
        noise[:, : min(channels, 3)] = deviates
    # As one row each: OpenCV takes small second operands of some shapes for scalars.
    total = cv2.add(block.reshape(1, -1), noise.reshape(1, -1), dtype=cv2.CV_8U)
    return with_channels(total, 1).reshape(block.shape)


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
        neutral={"std": 0.0},
    ),
)
