"""Operations that change colours, each pixel by itself: brightness."""

from __future__ import annotations

import cv2
import numpy as np

from augmentation_service.engine.images import Image, with_channels
from augmentation_service.engine.operations import PixelOperation
from augmentation_service.engine.parameters import Number
from augmentation_service.engine.randomness import Stream

__all__ = ["OPERATIONS"]

_LEVELS = np.arange(256)


def _looked_up(image: Image, table: Image) -> Image:
    """Return the picture with each colour value v replaced by `table[v]`; alpha stays."""
    channels = image.shape[2]
    if channels == 4:
        table = np.stack([table, table, table, _LEVELS.astype(np.uint8)], axis=-1)[None]
    return with_channels(cv2.LUT(image, table), channels)


def _brightened(image: Image, stream: Stream, *, amount: float) -> Image:
    del stream
    # Half levels away from zero: as much darker as brighter. 2.55 is no binary number.
    shift = int(abs(amount) * 255 / 100 + 0.5)
    if not shift:
        return image
    table = np.clip(_LEVELS + (shift if amount > 0 else -shift), 0, 255).astype(np.uint8)
    return _looked_up(image, table)


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
        neutral={"amount": 0.0},
    ),
)
