"""Operations that change colours, each pixel by itself: brightness."""

from __future__ import annotations

import cv2
import numpy as np

from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image
from augmentation_service.engine.parameters import Number
from augmentation_service.engine.randomness import Stream

__all__ = ["OPERATIONS"]


def _brightened(image: Image, stream: Stream, *, amount: float) -> Image:
    del stream
    # Half levels away from zero: as much darker as brighter. 2.55 is no binary number.
    shift = int(abs(amount) * 255 / 100 + 0.5)
    if not shift:
        return image
    change = cv2.add if amount > 0 else cv2.subtract
    # With the picture in one row: of 4 x 1 pixels, OpenCV would take the shift for one each.
    result = np.empty(image.shape, np.uint8)
    change(image.reshape(1, -1), np.full(4, shift, np.float64), result.reshape(1, -1))
    return result


OPERATIONS = (
    PixelOperation(
        name="brightness",
        category="colour",
        description="Makes the picture brighter or darker by adding the same to every value.",
        parameters=(
            Number(
                name="amount",
                description="how much is added: 100 makes everything white, -100 black",
                unit="percent of the full range",
                least=-100,
                most=100,
            ),
        ),
        function=_brightened,
        exact=True,
        eight_bits=True,
        neutral={"amount": 0.0},
        example={"amount": 25.0},
    ),
)
