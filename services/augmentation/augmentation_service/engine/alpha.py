"""Averaging colours where some pixels are transparent: each counts as much as it can be seen.

Pixels are multiplied by their opacity before they are mixed and divided by it afterwards, in 16
bits, so that the colour hidden in transparent pixels never shows.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.images import Image

__all__ = ["Weighted", "divided", "weighted"]

#: uint16 (H, W, 4): colour times opacity three times, then opacity times 255; 0 to 65025.
Weighted: TypeAlias = NDArray[np.uint16]


def weighted(image: Image) -> Weighted:
    """Return an RGBA image multiplied by its opacity."""
    product = image.astype(np.uint16)
    product[..., :3] *= product[..., 3:]
    product[..., 3] *= 255
    return product


def divided(product: NDArray[Any]) -> Image:
    """Return the RGBA image whose weighted form this is; what is transparent is black.

    Cubic interpolation overshoots: values above 65025 are brought back to 255.
    """
    wide = product.astype(np.uint32)
    opacity = wide[..., 3:]
    image = np.empty(product.shape, np.uint8)
    colours = (wide[..., :3] * 255 + opacity // 2) // np.maximum(opacity, 1)
    image[..., :3] = np.minimum(colours, 255)
    image[..., 3:] = np.minimum((opacity + 127) // 255, 255)
    return image
