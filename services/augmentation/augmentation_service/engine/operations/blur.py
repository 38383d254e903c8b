"""Operations that blur: gaussian."""

from __future__ import annotations

import math
from typing import Any

import cv2
from numpy.typing import NDArray

from augmentation_service.engine import alpha
from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image, with_channels
from augmentation_service.engine.parameters import Number
from augmentation_service.engine.randomness import Stream

__all__ = ["OPERATIONS"]

#: The kernel ends where it has fallen to 1 % of its height.
_RADIUS_SIGMAS = 3.0


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
    if image.shape[2] == 4:
        return alpha.averaged(image, lambda array: _filtered(array, sigma))
    return with_channels(_filtered(image, sigma), image.shape[2])


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
        neutral={"sigma": 0.0},
        example={"sigma": 3.0},
    ),
)
