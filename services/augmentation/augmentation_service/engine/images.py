"""What the engine calls an image: an array (H, W, C), sRGB, C = 1 grey, 3 RGB, 4 RGBA.

Values are uint8, 0 to 255, or float32, 0 to 1. Opacity is not premultiplied.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.errors import BadImage

__all__ = [
    "CHANNELS",
    "Image",
    "Size",
    "as_channels",
    "check",
    "pixel_digest",
    "size_of",
    "to_floats",
    "to_levels",
    "top_of",
    "with_channels",
]

#: uint8 or float32.
Image: TypeAlias = NDArray[Any]
#: Width and height in pixels.
Size: TypeAlias = tuple[int, int]
CHANNELS = (1, 3, 4)
_DTYPES = (np.dtype(np.uint8), np.dtype(np.float32))


def check(image: NDArray[Any]) -> Image:
    """Return `image` if it is one; raises `BadImage`."""
    if image.dtype not in _DTYPES or image.ndim != 3 or image.shape[2] not in CHANNELS:
        raise BadImage(
            f"an image is a uint8 or float32 array (H, W, C) with C in {CHANNELS}, "
            f"this is {image.dtype} {image.shape}"
        )
    if not image.size:
        raise BadImage(f"an image has at least one pixel, this has none: {image.shape}")
    if image.dtype != np.uint8 and not 0 <= image.min() <= image.max() <= 1:
        raise BadImage("a float32 image has values from 0 to 1, this has others")
    return image


def size_of(image: Image) -> Size:
    """Return width and height."""
    return image.shape[1], image.shape[0]


def top_of(image: Image) -> int:
    """Return the value of white and opaque: 255, or 1 for float32."""
    return 255 if image.dtype == np.uint8 else 1


def to_levels(image: Image) -> NDArray[np.uint8]:
    """Return a float32 image as uint8, rounded."""
    scaled = np.clip(image, 0, 1) * np.float32(255) + np.float32(0.5)
    levels: NDArray[np.uint8] = scaled.astype(np.uint8)
    return levels


def to_floats(image: Image) -> NDArray[np.float32]:
    """Return a uint8 image as float32."""
    floats: NDArray[np.float32] = image.astype(np.float32) / np.float32(255)
    return floats


def as_channels(image: Image, channels: int) -> Image:
    """Return the image with another number of channels: luma (ITU-R BT.601), opaque, repeated.

    Where opacity goes away, colours stay as they are.
    """
    if image.shape[2] == channels:
        return image
    return with_channels(cv2.cvtColor(image, _CONVERSIONS[image.shape[2], channels]), channels)


_CONVERSIONS = {
    (1, 3): cv2.COLOR_GRAY2RGB,
    (1, 4): cv2.COLOR_GRAY2RGBA,
    (3, 1): cv2.COLOR_RGB2GRAY,
    (3, 4): cv2.COLOR_RGB2RGBA,
    (4, 1): cv2.COLOR_RGBA2GRAY,
    (4, 3): cv2.COLOR_RGBA2RGB,
}


def with_channels(array: NDArray[Any], channels: int) -> Image:
    """Return what OpenCV made with its channel axis, which OpenCV drops when there is one."""
    return array.reshape(*array.shape[:2], channels)


def pixel_digest(image: Image) -> str:
    """Return SHA-256 over type, shape and pixels, in hex: equal exactly if the pictures are."""
    kind = "" if image.dtype == np.uint8 else f"{image.dtype.name} "
    digest = hashlib.sha256((kind + "x".join(map(str, image.shape))).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()
