"""Colours and opacity, apart and together.

Where transparent pixels are averaged, each counts as much as it can be seen: pixels are
multiplied by their opacity before they are mixed and divided by it afterwards, so that the colour
hidden in transparent pixels never shows. That is done plane by plane, in 16 bits and in single
floats by operations that IEEE 754 rounds the same everywhere.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.images import Image

__all__ = ["Weighted", "colours_of", "divided", "weighted", "with_colours"]

#: uint16 (H, W, 4): colour times opacity three times, then opacity times 255; 0 to 65025.
Weighted: TypeAlias = NDArray[np.uint16]


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
    *colours, opacity = cv2.split(image)
    planes = [np.multiply(plane, opacity, dtype=np.uint16) for plane in colours]
    planes.append(np.multiply(opacity, 255, dtype=np.uint16))
    product: Weighted = cv2.merge(planes).astype(np.uint16, copy=False)
    return product


def divided(product: NDArray[Any]) -> Image:
    """Return the RGBA image whose weighted form this is; what is transparent is black.

    Cubic interpolation overshoots: values above 65025 are brought back to 255.
    """
    *colours, opacity = cv2.split(product)
    factor = np.float32(255) / np.maximum(opacity, 1).astype(np.float32)
    planes = [_levels(plane * factor) for plane in colours]
    planes.append(_levels(opacity * np.float32(1 / 255)))
    image: Image = cv2.merge(planes).astype(np.uint8, copy=False)
    return image


def _levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    values += np.float32(0.5)
    levels: NDArray[np.uint8] = np.minimum(values, np.float32(255)).astype(np.uint8)
    return levels
