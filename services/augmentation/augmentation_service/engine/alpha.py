"""Colours and opacity, apart and together.

Where transparent pixels are averaged, each counts as much as it can be seen: pixels are
multiplied by their opacity before they are mixed and divided by it afterwards, so that the colour
hidden in transparent pixels never shows. That is done plane by plane, in 16 bits and in single
floats by operations that IEEE 754 rounds the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.images import Image

__all__ = ["Weighted", "colours_of", "divided", "weighted", "with_colours"]

#: uint16 (H, W, 4): colour times opacity three times, then opacity times 255; 0 to 65025.
Weighted: TypeAlias = NDArray[np.uint16]
_BAND_PIXELS = 1 << 15


def colours_of(image: Image) -> Image:
    """Return an RGBA image's colours, RGB."""
    colours: Image = cv2.cvtColor(image, cv2.COLOR_RGBA2RGB).astype(np.uint8, copy=False)
    return colours


def with_colours(image: Image, colours: Image) -> Image:
    """Return an RGBA image with the colours of another, RGB."""
    result: Image = cv2.cvtColor(colours, cv2.COLOR_RGB2RGBA).astype(np.uint8, copy=False)
    cv2.mixChannels([image], [result], [3, 3])
    return result


def weighted(image: Image) -> Weighted:
    """Return an RGBA image multiplied by its opacity."""
    product = np.empty(image.shape, np.uint16)
    for band in _bands(image.shape):
        *colours, opacity = cv2.split(image[band])
        planes = [np.multiply(plane, opacity, dtype=np.uint16) for plane in colours]
        cv2.merge([*planes, np.multiply(opacity, 255, dtype=np.uint16)], product[band])
    return product


def divided(product: NDArray[Any]) -> Image:
    """Return the RGBA image whose weighted form this is; what is transparent is black.

    Cubic interpolation overshoots: values above 65025 are brought back to 255.
    """
    image = np.empty(product.shape, np.uint8)
    for band in _bands(product.shape):
        *colours, opacity = cv2.split(product[band])
        factor = np.float32(255) / np.maximum(opacity, 1).astype(np.float32)
        planes = [_levels(plane * factor) for plane in colours]
        cv2.merge([*planes, _levels(opacity * np.float32(1 / 255))], image[band])
    return image


def _bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield rows by rows, few enough for a core's cache: memory for one band is all it takes."""
    rows = max(1, _BAND_PIXELS // shape[1])
    return (slice(start, start + rows) for start in range(0, shape[0], rows))


def _levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    values += np.float32(0.5)
    levels: NDArray[np.uint8] = np.minimum(values, np.float32(255)).astype(np.uint8)
    return levels
