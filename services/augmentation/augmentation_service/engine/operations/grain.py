"""Operations whose noise depends on the light: photons, speckle, high ISO, film."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image, with_channels
from augmentation_service.engine.parameters import Number
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.tables import LEVELS, LINEAR, encoded, rounded

__all__ = ["OPERATIONS"]

#: What a level becomes is one of so many equally likely outcomes.
_BITS = 11
_OUTCOMES = 1 << _BITS
#: Up to so many photons, their number is looked up in the sums of probabilities; above, Cornish
#: and Fisher's expansion is within a hundredth of a photon.
_FEW = 12
_BLOCK = 1 << 17
#: What enlarging noise twice, linearly, takes from its deviation: 5/8 along each side.
_SMOOTHED = 8 / 5


@cache
def _normal() -> NDArray[np.float64]:
    """Return the outcomes of a standard normal deviate."""
    inverse = NormalDist().inv_cdf
    deviates = np.array([inverse((i + 0.5) / _OUTCOMES) for i in range(_OUTCOMES)])
    return np.asarray(deviates / deviates.std())


@cache
def _normal_halfwords() -> NDArray[np.float32]:
    return np.repeat(_normal(), (1 << 16) // _OUTCOMES).astype(np.float32)


def _poisson(means: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the outcomes of Poisson variables, (len(means), outcomes); `means` ascend."""
    few = int(np.searchsorted(means, _FEW, side="right"))
    result = np.empty((len(means), _OUTCOMES), np.float32)
    mean = means[few:, None].astype(np.float32)
    z = _normal().astype(np.float32)[None]
    many = mean + np.sqrt(mean) * z + (z * z - 1) / 6 + (z - z**3) / (72 * np.sqrt(mean))
    result[few:] = np.maximum(np.floor(many + np.float32(0.5)), 0)
    result[:few] = _counted(means[:few])
    return result


def _counted(means: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return outcomes of few photons: as many as sums of probabilities lie below each share."""
    most = 4 * _FEW + 8
    starts = np.zeros((len(means), _OUTCOMES + 1), np.int64)
    probability = np.exp(-means)
    below = probability.copy()
    rows = np.arange(len(means))
    for photons in range(1, most):
        np.add.at(starts, (rows, np.ceil(below * _OUTCOMES - 0.5).astype(np.int64)), 1)
        probability = probability * means / photons
        below = np.minimum(below + probability, 1)
    return np.cumsum(starts, axis=1)[:, :_OUTCOMES]


def _scattered(image: Image, outcomes: NDArray[np.uint8], stream: Stream) -> Image:
    """Return the picture with each value replaced by one of its level's outcomes (256, …)."""
    source, table = image.reshape(-1), outcomes.reshape(-1)
    result = np.empty_like(source)
    for start in range(0, len(source), _BLOCK):
        levels = source[start : start + _BLOCK]
        places = stream.halfwords(len(levels)) & np.uint16(_OUTCOMES - 1)
        index = (levels.astype(np.int32) << _BITS) | places
        np.take(table, index, mode="clip", out=result[start : start + _BLOCK])
    return result.reshape(image.shape)


def _counting(image: Image, stream: Stream, *, photons: float) -> Image:
    # More of them than make white are white.
    most = math.ceil(photons)
    counts = np.minimum(_poisson(LINEAR * photons), most).astype(np.uint16)
    levels = rounded(255 * encoded(np.arange(most + 1) / photons))
    return _scattered(image, np.take(levels, counts), stream)


def _speckled(image: Image, stream: Stream, *, std: float) -> Image:
    if not std:
        return image
    source, result = image.reshape(1, -1), np.empty((1, image.size), np.uint8)
    table = _normal_halfwords() * np.float32(std / 100)
    for start in range(0, image.size, _BLOCK):
        values = source[:, start : start + _BLOCK]
        deviates = np.take(table, stream.halfwords(values.size), mode="clip")[None]
        change = cv2.multiply(values, deviates, dtype=cv2.CV_32F)
        cv2.add(values, change, result[:, start : start + _BLOCK], dtype=cv2.CV_8U)
    return result.reshape(image.shape)


def _deviates(shape: tuple[int, int], stream: Stream, std: float = 1) -> NDArray[np.float32]:
    """Return normal deviates, (H, W)."""
    words = stream.halfwords(shape[0] * shape[1])
    table = _normal_halfwords() * np.float32(std)
    return np.take(table, words, mode="clip").reshape(shape)


def _whole(shape: tuple[int, int], stream: Stream, std: float) -> NDArray[np.int16]:
    """Return normal deviates, rounded, (H, W)."""
    table = np.rint(_normal_halfwords() * np.float32(std)).astype(np.int16)
    return np.take(table, stream.halfwords(shape[0] * shape[1]), mode="clip").reshape(shape)


def _amplified(image: Image, stream: Stream, *, luma: float, chroma: float) -> Image:
    if not luma and not chroma:
        return image
    height, width, channels = image.shape
    grey = _whole((height, width), stream, luma)
    if channels == 1:
        return cv2.add(image[..., 0], grey, dtype=cv2.CV_8U)[..., None]
    # Colours are made from neighbours of one colour each: their noise is twice as coarse.
    half = (height + 1) // 2, (width + 1) // 2
    coarse = cv2.merge([_whole(half, stream, chroma * _SMOOTHED) for _ in range(3)])
    coloured = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    noise = cv2.merge([grey] * 3).reshape(1, -1)
    cv2.add(noise, coloured.reshape(1, -1), noise)
    return cv2.add(image.reshape(1, -1), noise, dtype=cv2.CV_8U).reshape(image.shape)


def _grained(image: Image, stream: Stream, *, strength: float, size: float) -> Image:
    if not strength:
        return image
    height, width, channels = image.shape
    # Grain of a size is noise of a smaller picture; its deviation is made 1 again below.
    small = max(1, round(height / size)), max(1, round(width / size))
    grain: NDArray[Any] = _deviates(small, stream)
    if small != (height, width):
        grain = cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC)
        grain = grain / np.float32(max(float(grain.std()), 0.1))
    luma = image[..., 0] if channels == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    # Seen most in the middle tones: none in black and white.
    weight = np.sqrt(np.clip(4 * LEVELS * (255 - LEVELS), 0, None)) / 255 * strength
    seen = cv2.LUT(luma, weight.astype(np.float32)).reshape(height, width)
    noise = with_channels(cv2.multiply(grain, seen), 1)
    if channels == 3:
        noise = cv2.cvtColor(noise, cv2.COLOR_GRAY2RGB)
    return cv2.add(image, noise.reshape(image.shape), dtype=cv2.CV_8U).reshape(image.shape)


OPERATIONS = (
    PixelOperation(
        name="shot_noise",
        category="noise",
        description="Counts photons, in linear light: so few have the Poisson distribution.",
        parameters=(
            Number(
                name="photons",
                description="how many make white: fewer are noisier",
                unit="photons",
                least=1,
                most=10000,
            ),
        ),
        function=_counting,
        eight_bits=True,
        exact=True,
        cost="medium",
        example={"photons": 40.0},
    ),
    PixelOperation(
        name="speckle_noise",
        category="noise",
        description="Multiplies every value by normally distributed noise about 1.",
        parameters=(
            Number(
                name="std",
                description="standard deviation of the noise",
                unit="percent of the value",
                least=0,
                most=200,
            ),
        ),
        function=_speckled,
        eight_bits=True,
        exact=False,
        tolerance="one of 255 levels",
        cost="medium",
        neutral={"std": 0.0},
        example={"std": 25.0},
    ),
    PixelOperation(
        name="iso_noise",
        category="noise",
        description="Adds what sensors add at a high ISO setting: fine grey noise, coarser noise "
        "in colours.",
        parameters=(
            Number(
                name="luma",
                description="standard deviation of the grey noise",
                unit="levels of 255",
                least=0,
                most=100,
                default=12,
            ),
            Number(
                name="chroma",
                description="standard deviation of the noise in each colour",
                unit="levels of 255",
                least=0,
                most=100,
                default=8,
            ),
        ),
        function=_amplified,
        eight_bits=True,
        exact=False,
        tolerance="one of 255 levels",
        cost="medium",
        neutral={"luma": 0.0, "chroma": 0.0},
        example={"luma": 20.0, "chroma": 14.0},
    ),
    PixelOperation(
        name="film_grain",
        category="noise",
        description="Adds the grain of film: grey, of a size, strongest in the middle tones.",
        parameters=(
            Number(
                name="strength",
                description="standard deviation of the grain in mid-grey",
                unit="levels of 255",
                least=0,
                most=100,
                default=16,
            ),
            Number(
                name="size",
                description="of the grains",
                unit="pixels",
                least=1,
                most=8,
                default=2,
            ),
        ),
        function=_grained,
        eight_bits=True,
        exact=False,
        tolerance="one of 255 levels",
        cost="medium",
        neutral={"strength": 0.0},
        example={"strength": 24.0, "size": 2.0},
    ),
)
