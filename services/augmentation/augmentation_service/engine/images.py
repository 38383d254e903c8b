"""What the engine calls an image: a uint8 array (H, W, C), sRGB, C = 1 grey, 3 RGB, 4 RGBA."""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.errors import BadImage

__all__ = ["CHANNELS", "Image", "Size", "check", "pixel_digest", "size_of", "with_channels"]

Image: TypeAlias = NDArray[np.uint8]
#: Width and height in pixels.
Size: TypeAlias = tuple[int, int]
CHANNELS = (1, 3, 4)


def check(image: NDArray[Any]) -> Image:
    """Return `image` if it is one; raises `BadImage`."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in CHANNELS:
        raise BadImage(
            f"an image is a uint8 array (H, W, C) with C in {CHANNELS}, "
            f"this is {image.dtype} {image.shape}"
        )
    if not image.size:
        raise BadImage(f"an image has at least one pixel, this has none: {image.shape}")
    return image


def size_of(image: Image) -> Size:
    """Return width and height."""
    return image.shape[1], image.shape[0]


def with_channels(array: NDArray[Any], channels: int) -> Image:
    """Return what OpenCV made with its channel axis, which OpenCV drops when there is one."""
    return array.reshape(*array.shape[:2], channels)


def pixel_digest(image: Image) -> str:
    """Return SHA-256 over shape and pixels, in hex: equal exactly if the pictures are."""
    digest = hashlib.sha256("x".join(map(str, image.shape)).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()
