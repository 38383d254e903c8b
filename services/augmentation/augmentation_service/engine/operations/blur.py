"""Operations that blur: gaussian, uniform, median."""

from __future__ import annotations

import math
from typing import Any

import cv2
from numpy.typing import NDArray

from augmentation_service.engine import alpha
from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image, with_channels
from augmentation_service.engine.parameters import Integer, Number
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.ranks import ranked

__all__ = ["OPERATIONS"]

#: The kernel ends where it has fallen to 1 % of its height.
_RADIUS_SIGMAS = 3.0
#: From this size on, medians are counted.
_LARGE = 9


def _filtered(array: NDArray[Any], sigma: float) -> NDArray[Any]:
    side = 2 * max(1, math.ceil(_RADIUS_SIGMAS * sigma)) + 1
    # Of 8 and 16 bits, with this hint: fixed point, the same on every machine.
    return cv2.GaussianBlur(
        array,
        (side, side),
        sigma,
        sigmaY=sigma,
        borderType=cv2.BORDER_REFLECT_101,
        hint=cv2.ALGO_HINT_ACCURATE,
    )


def _blurred(image: Image, stream: Stream, *, sigma: float) -> Image:
    del stream
    if not sigma:
        return image
    return alpha.averaged(image, lambda array: _filtered(array, sigma))


def _uniform(image: Image, stream: Stream, *, size: int) -> Image:
    del stream

    def kernel(array: NDArray[Any]) -> NDArray[Any]:
        return cv2.blur(array, (size, size), borderType=cv2.BORDER_REFLECT_101)

    if size == 1:
        return image
    return alpha.averaged(image, kernel)


def _middle(image: Image, stream: Stream, *, size: int) -> Image:
    del stream
    if size == 1:
        return image
    # OpenCV's is faster for the smallest windows and for large ones.
    if size in (3, 5) or (size > _LARGE and size % 2):
        return with_channels(cv2.medianBlur(image, size), image.shape[2])
    return ranked(image, size, (size * size - 1) // 2)


OPERATIONS = (
    PixelOperation(
        name="gaussian_blur",
        category="blur",
        description="Blurs with a Gaussian kernel; transparency stays as sharp as it was.",
        parameters=(
            Number(
                name="sigma",
                description="standard deviation of the kernel",
                unit="pixels",
                least=0,
                most=50,
            ),
        ),
        function=_blurred,
        sees_opacity=True,
        exact=True,
        cost="medium",
        neutral={"sigma": 0.0},
        example={"sigma": 3.0},
    ),
    PixelOperation(
        name="uniform_blur",
        category="blur",
        description="Replaces every value by the mean of the square around it.",
        parameters=(
            Integer(
                name="size",
                description="side of the square",
                unit="pixels",
                least=1,
                most=101,
            ),
        ),
        function=_uniform,
        sees_opacity=True,
        exact=False,
        tolerance="one of 255 levels",
        neutral={"size": 1},
        example={"size": 9},
    ),
    PixelOperation(
        name="median_blur",
        category="blur",
        description="Replaces every value by the median of the square around it: keeps edges, "
        "removes specks.",
        parameters=(
            Integer(
                name="size",
                description="side of the square; of an even one, the lower of two medians counts",
                unit="pixels",
                least=1,
                most=31,
            ),
        ),
        function=_middle,
        eight_bits=True,
        exact=True,
        cost="high",
        neutral={"size": 1},
        example={"size": 7},
    ),
)
