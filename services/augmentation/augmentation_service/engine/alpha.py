"""Colours and opacity, apart and together.

Where transparent pixels are averaged, each counts as much as it can be seen: pixels are
multiplied by their opacity before they are mixed and divided by it afterwards, so that the colour
hidden in transparent pixels never shows. That is done plane by plane, in 16 bits and in single
floats by operations that IEEE 754 rounds the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.images import Image, with_channels

__all__ = [
    "Weighted",
    "averaged",
    "colours_of",
    "divided",
    "is_opaque",
    "weighted",
    "with_colours",
]

#: (H, W, 4): colour times opacity three times, then opacity. Of uint8 images uint16, all of it 0
#: to 65025; of float32 images float32, 0 to 1.
Weighted: TypeAlias = NDArray[Any]
_BAND_PIXELS = 1 << 15


def colours_of(image: Image) -> Image:
    """Return an RGBA image's colours, RGB."""
    return cv2.cvtColor(image, cv2.COLOR_RGBA2RGB)


def with_colours(image: Image, colours: Image) -> Image:
    """Return an RGBA image with the colours of another, RGB."""
    result = cv2.cvtColor(colours, cv2.COLOR_RGB2RGBA)
    cv2.mixChannels([image], [result], [3, 3])
    return result


def is_opaque(image: Image) -> bool:
    """Return whether nothing of an RGBA image is transparent."""
    least = image[..., 3].min()
    return bool(least == (255 if image.dtype == np.uint8 else 1))


def averaged(image: Image, kernel: Callable[[NDArray[Any]], NDArray[Any]]) -> Image:
    """Return an image whose colours `kernel` has averaged, each as much as it is seen.

    `kernel` is given grey or colours (uint8 or float32, C = 1 or 3) or a `Weighted` (C = 4), and
    returns the same type and shape, made by a linear filter; the axis of a single channel may be
    missing. Opacity stays as it was. Values of float32 past 0 and 1 are cut off: cubic
    interpolation overshoots, and means are rounded (to -3e-17 by a Fourier transform of black).
    """
    if image.shape[2] != 4:
        return with_channels(_within(kernel(image)), image.shape[2])
    colours = colours_of(image)
    if is_opaque(image):
        return with_colours(image, _within(kernel(colours)))
    mixture = kernel(weighted(image))
    mixed = colours_of(divided(mixture))
    # Where everything within reach is transparent, there is no colour to be found.
    cv2.copyTo(mixed, (mixture[..., 3] > 0).astype(np.uint8), colours)
    return with_colours(image, colours)


def _within(array: NDArray[Any]) -> NDArray[Any]:
    return np.clip(array, 0, 1) if array.dtype == np.float32 else array


def weighted(image: Image) -> Weighted:
    """Return an RGBA image multiplied by its opacity."""
    if image.dtype != np.uint8:
        *colours, opacity = cv2.split(image)
        return cv2.merge([*(plane * opacity for plane in colours), opacity])
    product = np.empty(image.shape, np.uint16)
    for band in _bands(image.shape):
        *colours, opacity = cv2.split(image[band])
        planes = [np.multiply(plane, opacity, dtype=np.uint16) for plane in colours]
        cv2.merge([*planes, np.multiply(opacity, 255, dtype=np.uint16)], product[band])
    return product


def divided(product: Weighted) -> Image:
    """Return the RGBA image whose weighted form this is; what is transparent is black.

    Cubic interpolation overshoots: values above the highest are brought back to it.
    """
    if product.dtype != np.uint16:
        return _divided_floats(product)
    image = np.empty(product.shape, np.uint8)
    for band in _bands(product.shape):
        *colours, opacity = cv2.split(product[band])
        factor = np.float32(255) / np.maximum(opacity, 1).astype(np.float32)
        planes = [_levels(plane * factor) for plane in colours]
        cv2.merge([*planes, _levels(opacity * np.float32(1 / 255))], image[band])
    return image


def _divided_floats(product: Weighted) -> Image:
    *colours, opacity = cv2.split(product)
    # Below one step of 16 bits, a colour is a rounding error divided by another.
    seen = opacity > np.float32(1 / 65535)
    divisor = np.where(seen, opacity, np.float32(1))
    planes = [np.where(seen, plane / divisor, np.float32(0)) for plane in colours]
    return np.clip(cv2.merge([*planes, opacity]), 0, 1)


def _bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield rows by rows, few enough for a core's cache: memory for one band is all it takes."""
    rows = max(1, _BAND_PIXELS // shape[1])
    return (slice(start, start + rows) for start in range(0, shape[0], rows))


def _levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    values += np.float32(0.5)
    levels: NDArray[np.uint8] = np.minimum(values, np.float32(255)).astype(np.uint8)
    return levels
