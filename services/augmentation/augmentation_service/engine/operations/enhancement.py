"""The four enhancements that published policies are made of: away from, or back to, less of it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image, with_channels
from augmentation_service.engine.parameters import Choice, Number
from augmentation_service.engine.randomness import Stream

__all__ = ["OPERATIONS"]

#: A little smoothing: what a picture of no sharpness is made with.
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / np.float32(13)


def _grey(image: Image) -> Image:
    return image if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]


def _black(image: Image, factor: float) -> Image:
    return cv2.convertScaleAbs(image, alpha=factor)


def _flat(image: Image, factor: float) -> Image:
    mean = int(float(_grey(image).mean()) + 0.5)
    levels = np.arange(256) * factor + mean * (1 - factor)
    table = np.floor(np.clip(levels, 0, 255) + 0.5).astype(np.uint8)
    return cv2.LUT(image, table)


def _colourless(image: Image, factor: float) -> Image:
    if image.shape[2] == 1:
        return image
    grey = cv2.cvtColor(_grey(image), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, factor, grey, 1 - factor, 0)


def _smoothed(image: Image, factor: float) -> Image:
    smooth = image.reshape(image.shape[:2]) if image.shape[2] == 1 else image
    smooth = cv2.filter2D(smooth, -1, _SMOOTH, borderType=cv2.BORDER_REPLICATE)
    return cv2.addWeighted(image, factor, with_channels(smooth, image.shape[2]), 1 - factor, 0)


_QUALITIES: dict[str, Callable[[Image, float], Image]] = {
    "brightness": _black,
    "contrast": _flat,
    "colour": _colourless,
    "sharpness": _smoothed,
}


def _enhanced(image: Image, stream: Stream, *, quality: str, factor: float) -> Image:
    del stream
    if factor == 1:
        return image
    return with_channels(_QUALITIES[quality](image, factor), image.shape[2])


OPERATIONS = (
    PixelOperation(
        name="enhance",
        category="colour",
        description="Blends the picture with one that has none of a quality, or away from it; "
        "what policies call brightness, contrast, color and sharpness.",
        parameters=(
            Choice(
                name="quality",
                description="what is changed",
                choices={
                    "brightness": "against black",
                    "contrast": "against the mean grey",
                    "colour": "against the grey picture",
                    "sharpness": "against a picture smoothed by a 3 x 3 kernel",
                },
            ),
            Number(
                name="factor",
                description="0 takes all of it away, 2 has twice as much",
                unit="factor",
                least=0,
                most=4,
            ),
        ),
        function=_enhanced,
        eight_bits=True,
        exact=False,
        tolerance="one of 255 levels",
        neutral={"factor": 1.0},
        example={"quality": "contrast", "factor": 1.6},
    ),
)
