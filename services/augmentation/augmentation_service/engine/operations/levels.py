"""Operations that put other levels in the place of levels, by a table: the classics of policies."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image, top_of
from augmentation_service.engine.parameters import Integer, Number
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.tables import histograms, looked_up

__all__ = ["OPERATIONS"]

_LEVELS = np.arange(256)


def _inverted(image: Image, stream: Stream) -> Image:
    del stream
    return cv2.bitwise_not(image).reshape(image.shape) if image.dtype == np.uint8 else 1 - image


def _posterized(image: Image, stream: Stream, *, bits: int) -> Image:
    del stream
    return image & np.uint8(256 - (1 << (8 - bits)))


def _solarized(image: Image, stream: Stream, *, threshold: float) -> Image:
    del stream
    if image.dtype != np.uint8:
        return np.where(image * 255 >= threshold, top_of(image) - image, image)
    table = np.where(threshold <= _LEVELS, 255 - _LEVELS, _LEVELS).astype(np.uint8)
    return looked_up(image, table)


def _stretched(image: Image, stream: Stream, *, cutoff: float) -> Image:
    del stream
    cut = int(image.shape[0] * image.shape[1] * cutoff / 100)
    return looked_up(image, np.array([_stretch(counts, cut) for counts in histograms(image)]))


def _stretch(counts: NDArray[np.int64], cut: int) -> NDArray[np.uint8]:
    """Return the table that makes the lowest level 0 and the highest 255, but for `cut` pixels."""
    below = np.cumsum(counts)
    low = int(np.searchsorted(below, cut, side="right"))
    high = int(np.searchsorted(below, below[-1] - cut))
    if high <= low:
        return _LEVELS.astype(np.uint8)
    span = high - low
    stretched: NDArray[np.int64] = ((_LEVELS - low) * 510 + span) // (2 * span)
    return np.asarray(np.clip(stretched, 0, 255), np.uint8)


def _equalized(image: Image, stream: Stream) -> Image:
    del stream
    return looked_up(image, np.array([_equal(counts) for counts in histograms(image)]))


def _equal(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the table that makes levels equally frequent, as far as can be."""
    used = counts[counts > 0]
    step = int(used[:-1].sum()) // 255
    if not step:
        return _LEVELS.astype(np.uint8)
    below = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return np.asarray(np.minimum((below + step // 2) // step, 255), np.uint8)


OPERATIONS = (
    PixelOperation(
        name="invert",
        category="colour",
        description="Turns every value into its opposite, as a negative does.",
        parameters=(),
        function=_inverted,
        exact=True,
    ),
    PixelOperation(
        name="posterize",
        category="colour",
        description="Keeps the highest bits of every value.",
        parameters=(
            Integer(name="bits", description="how many are kept", unit="bits", least=1, most=8),
        ),
        function=_posterized,
        eight_bits=True,
        exact=True,
        neutral={"bits": 8},
        example={"bits": 3},
    ),
    PixelOperation(
        name="solarize",
        category="colour",
        description="Inverts what is brighter than a threshold.",
        parameters=(
            Number(
                name="threshold",
                description="the lowest value that is inverted; above 255, none is",
                unit="levels of 255",
                least=0,
                most=256,
                default=128,
            ),
        ),
        function=_solarized,
        exact=True,
        neutral={"threshold": 256.0},
    ),
    PixelOperation(
        name="autocontrast",
        category="colour",
        description="Stretches each channel from its darkest and brightest value to 0 and 255.",
        parameters=(
            Number(
                name="cutoff",
                description="how many pixels at either end may be cut off",
                unit="percent",
                least=0,
                most=49,
                default=0,
            ),
        ),
        function=_stretched,
        eight_bits=True,
        exact=True,
        example={"cutoff": 5.0},
    ),
    PixelOperation(
        name="equalize",
        category="colour",
        description="Makes all values of each channel equally frequent, as far as can be.",
        parameters=(),
        function=_equalized,
        eight_bits=True,
        exact=True,
    ),
)
