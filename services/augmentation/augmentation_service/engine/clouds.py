"""Smooth random fields and drawn shapes, as light and weather need them."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.images import Image, Size
from augmentation_service.engine.randomness import Stream

__all__ = ["Plane", "blended", "clouds", "darkened", "lightened"]

#: (H, W): uint8 or float32.
Plane: TypeAlias = NDArray[Any]


def clouds(size: Size, cells: float, octaves: int, stream: Stream) -> Plane:
    """Return a smooth random field (H, W), 0 to 1: value noise.

    `cells`: how many random values there are along the longer side, doubled with each octave,
    whose share is halved.
    """
    width, height = size
    total: Plane = np.zeros((height, width), np.float32)
    shares = 0.0
    for octave in range(octaves):
        cell = max(size) / (cells * 2**octave)
        if octave and cell < 2:
            break
        columns, rows = (max(2, math.ceil(side / cell) + 1) for side in size)
        nodes = stream.units(rows * columns).reshape(rows, columns).astype(np.float32)
        share = 0.5**octave
        whole = cv2.resize(nodes, (width, height), interpolation=cv2.INTER_CUBIC)
        total = cv2.scaleAdd(whole, share, total)
        shares += share
    field: Plane = np.clip(total / np.float32(shares), 0, 1)
    return field


def _coloured(plane: Plane, channels: int) -> Plane:
    if channels == 1:
        return plane[..., None]
    return cv2.cvtColor(plane, cv2.COLOR_GRAY2RGB).reshape(*plane.shape, 3)


def blended(image: Image, share: Plane, colour: tuple[float, ...]) -> Image:
    """Return a uint8 image with as much of a colour in each pixel as `share` (H, W) of 255."""
    return lightened(darkened(image, cv2.bitwise_not(share)), share, colour)


def darkened(image: Image, share: Plane) -> Image:
    """Return a uint8 image multiplied by `share` (H, W), of 255."""
    channels = image.shape[2]
    several = _coloured(share, channels)
    product = cv2.multiply(image.reshape(1, -1), several.reshape(1, -1), scale=1 / 255)
    return product.reshape(image.shape)


def lightened(image: Image, light: Plane, colour: tuple[float, ...]) -> Image:
    """Return a uint8 image with light of a colour added: as much as `light` (H, W), of 255."""
    channels = image.shape[2]
    if channels == 1:
        grey = colour[0] if len(colour) == 1 else np.dot(colour, (0.299, 0.587, 0.114))
        added = cv2.convertScaleAbs(light, alpha=float(grey) / 255)[..., None]
    else:
        parts = [
            light if part == 255 else cv2.convertScaleAbs(light, alpha=part / 255)
            for part in colour
        ]
        added = cv2.merge(parts).reshape(image.shape)
    # As one row: OpenCV takes some small arrays for scalars.
    return cv2.add(image.reshape(1, -1), added.reshape(1, -1)).reshape(image.shape)
