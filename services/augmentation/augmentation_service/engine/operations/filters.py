"""Operations that take a value of the square around each: the least, the highest, a percentile."""

from __future__ import annotations

import cv2

from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image, with_channels
from augmentation_service.engine.parameters import Integer, Number
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.ranks import ranked

__all__ = ["OPERATIONS"]


def _least(image: Image, stream: Stream, *, size: int) -> Image:
    del stream
    if size == 1:
        return image
    square = cv2.getStructuringElement(cv2.MORPH_RECT, (size, size))
    return with_channels(cv2.erode(image, square), image.shape[2])


def _highest(image: Image, stream: Stream, *, size: int) -> Image:
    del stream
    if size == 1:
        return image
    square = cv2.getStructuringElement(cv2.MORPH_RECT, (size, size))
    return with_channels(cv2.dilate(image, square), image.shape[2])


def _percentile(image: Image, stream: Stream, *, percentile: float, size: int) -> Image:
    last = size * size - 1
    rank = int(percentile / 100 * last + 0.5)
    if rank in (0, last):
        return (_highest if rank else _least)(image, stream, size=size)
    return ranked(image, size, rank)


def _size(most: int) -> Integer:
    return Integer(name="size", description="side of the square", unit="pixels", least=1, most=most)


OPERATIONS = (
    PixelOperation(
        name="min_filter",
        category="filters",
        description="Replaces every value by the lowest of the square around it.",
        parameters=(_size(101),),
        function=_least,
        exact=True,
        neutral={"size": 1},
        example={"size": 5},
    ),
    PixelOperation(
        name="max_filter",
        category="filters",
        description="Replaces every value by the highest of the square around it.",
        parameters=(_size(101),),
        function=_highest,
        exact=True,
        neutral={"size": 1},
        example={"size": 5},
    ),
    PixelOperation(
        name="percentile_filter",
        category="filters",
        description="Replaces every value by a percentile of those in the square around it.",
        parameters=(
            Number(
                name="percentile",
                description="0 the lowest, 50 the median, 100 the highest",
                unit="percent",
                least=0,
                most=100,
            ),
            _size(31),
        ),
        function=_percentile,
        eight_bits=True,
        exact=True,
        cost="medium",
        neutral={"size": 1},
        example={"percentile": 80.0, "size": 5},
    ),
)
