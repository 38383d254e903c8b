"""Operations that replace single pixels: salt, pepper, both, all colours."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image, to_floats, top_of
from augmentation_service.engine.parameters import Number
from augmentation_service.engine.randomness import Stream

__all__ = ["OPERATIONS"]

_STEPS = 1 << 16


def _drawn(image: Image, stream: Stream) -> NDArray[np.uint16]:
    """Return 16 random bits for each pixel, (H, W)."""
    height, width = image.shape[:2]
    return stream.halfwords(height * width).reshape(height, width)


def _hit(words: NDArray[np.uint16], percent: float) -> NDArray[np.uint8]:
    """Return the pixels that are hit, (H, W), 255 or 0: so many percent, to 1/65536."""
    bound = round(percent * _STEPS / 100)
    if bound >= _STEPS:
        return np.full(words.shape, 255, np.uint8)
    return (words < bound).astype(np.uint8) * np.uint8(255)


def _painted(image: Image, pixels: NDArray[np.uint8], value: float) -> Image:
    """Return the picture with one value in the pixels that are not 0."""
    result = image.copy()
    cv2.copyTo(np.full_like(image, value), pixels, result)
    return result


def _salted(image: Image, stream: Stream, *, amount: float) -> Image:
    return _painted(image, _hit(_drawn(image, stream), amount), top_of(image)) if amount else image


def _peppered(image: Image, stream: Stream, *, amount: float) -> Image:
    return _painted(image, _hit(_drawn(image, stream), amount), 0) if amount else image


def _salted_and_peppered(image: Image, stream: Stream, *, amount: float, salt: float) -> Image:
    if not amount:
        return image
    words = _drawn(image, stream)
    # What is hit by the first part of the range gets salt, by the rest of it pepper.
    peppered = _painted(image, _hit(words, amount), 0)
    return _painted(peppered, _hit(words, amount * salt / 100), top_of(image)) if salt else peppered


def _coloured(image: Image, stream: Stream, *, amount: float) -> Image:
    if not amount:
        return image
    hit = _hit(_drawn(image, stream), amount)
    count = image.size
    levels = stream.words(-(-count // 8)).astype("<u8", copy=False).view(np.uint8)
    colours = levels[:count].reshape(image.shape)
    result = image.copy()
    cv2.copyTo(colours if image.dtype == np.uint8 else to_floats(colours), hit, result)
    return result


_AMOUNT = Number(
    name="amount",
    description="how many pixels are replaced",
    unit="percent of the pixels",
    least=0,
    most=100,
)

OPERATIONS = (
    PixelOperation(
        name="salt_noise",
        category="noise",
        description="Makes random pixels white.",
        parameters=(_AMOUNT,),
        function=_salted,
        exact=True,
        neutral={"amount": 0.0},
        example={"amount": 5.0},
    ),
    PixelOperation(
        name="pepper_noise",
        category="noise",
        description="Makes random pixels black.",
        parameters=(_AMOUNT,),
        function=_peppered,
        exact=True,
        neutral={"amount": 0.0},
        example={"amount": 5.0},
    ),
    PixelOperation(
        name="salt_and_pepper_noise",
        category="noise",
        description="Makes random pixels white or black.",
        parameters=(
            _AMOUNT,
            Number(
                name="salt",
                description="how many of them are white",
                unit="percent of those that are replaced",
                least=0,
                most=100,
                default=50,
            ),
        ),
        function=_salted_and_peppered,
        exact=True,
        neutral={"amount": 0.0},
        example={"amount": 5.0},
    ),
    PixelOperation(
        name="rainbow_noise",
        category="noise",
        description="Gives random pixels random colours.",
        parameters=(_AMOUNT,),
        function=_coloured,
        exact=True,
        neutral={"amount": 0.0},
        example={"amount": 10.0},
    ),
)
