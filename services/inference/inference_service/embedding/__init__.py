"""The task `embedding`: what a picture looks like, as a vector of 512 numbers.

Nothing here is learned. Pictures whose colours, shapes and textures lie in the same places get
vectors with a high cosine; what a picture *means* is unknown to it.
"""

from __future__ import annotations

import cv2
import numpy as np
from imagesystem.events import Embedding
from numpy.typing import NDArray

from inference_service.analysis.texture import local_binary_patterns
from inference_service.decoding import Picture, Pixels

__all__ = ["DIMENSIONS", "MODEL", "SIDE", "VERSION", "describe", "embed"]

MODEL, VERSION = "looks-512", "1"
#: Pictures are described at this size, whatever their shape: it is stretched.
SIDE = 256
DIMENSIONS = 512

#: How much each family counts.
WEIGHTS = {"layout": 1.0, "palette": 0.7, "gradients": 1.0, "texture": 0.4}
LAYOUT_CELLS = 6
HUES, SATURATIONS, VALUES = 12, 3, 3
GRADIENT_CELLS, DIRECTIONS = 4, 8
#: Sides at which directions and texture are measured, finest first.
GRADIENT_SIDES, TEXTURE_SIDES = (128, 64), (128, 64, 32, 16)

_Vector = NDArray[np.float32]


def embed(picture: Picture) -> Embedding:
    """Return the picture's vector."""
    vector = describe(picture.pixels)
    return Embedding(dimensions=DIMENSIONS, vector=vector.astype("<f4").tobytes())


def describe(pixels: Pixels) -> _Vector:
    """Return a descriptor, float32 (512,), of length 1; deterministic.

    Each family (colour layout, palette, oriented gradients, texture) is brought to length 1
    before it is weighted, so that none drowns the others.
    """
    square = np.asarray(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    smooth = np.asarray(cv2.GaussianBlur(square, (0, 0), 1.0), np.uint8)
    luma = np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY), np.float32)
    families = {
        "layout": _layout(smooth),
        "palette": _palette(smooth),
        "gradients": np.concatenate([_gradients(_shrunk(luma, side)) for side in GRADIENT_SIDES]),
        "texture": np.concatenate([_texture(_shrunk(luma, side)) for side in TEXTURE_SIDES]),
    }
    parts = [WEIGHTS[name] * _unit(values) for name, values in families.items()]
    return _unit(np.concatenate(parts))


def _unit(values: NDArray[np.floating]) -> _Vector:
    length = float(np.linalg.norm(values))
    return np.asarray(values / length if length > 1e-6 else values, np.float32)


def _shrunk(luma: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(luma, (side, side), interpolation=cv2.INTER_AREA), np.float32)


def _layout(pixels: Pixels) -> _Vector:
    """Return the mean colour of each cell, CIELAB, relative to middle grey."""
    lab = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB), np.float32)
    cells = cv2.resize(lab, (LAYOUT_CELLS, LAYOUT_CELLS), interpolation=cv2.INTER_AREA)
    # chroma spans less of its range than lightness does in most pictures
    return np.asarray((cells - 128.0) * np.array([0.6, 1.0, 1.0]), np.float32).ravel()


def _palette(pixels: Pixels) -> _Vector:
    """Return the square roots of a histogram of hue, saturation and value, smoothed over hue."""
    hsv = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV_FULL))
    bins = [HUES, SATURATIONS, VALUES]
    counts = cv2.calcHist([hsv], [0, 1, 2], None, bins, [0, 256, 0, 256, 0, 256])
    share = np.asarray(counts, np.float32) / (SIDE * SIDE)
    share = 0.5 * share + 0.25 * (np.roll(share, 1, axis=0) + np.roll(share, -1, axis=0))
    return np.asarray(np.sqrt(share).ravel(), np.float32)


def _gradients(luma: NDArray[np.float32]) -> _Vector:
    """Return the directions of edges in each cell (Dalal and Triggs 2005), softly binned."""
    across, down = cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)
    strength = np.sqrt(np.hypot(across, down))
    place = (np.arctan2(down, across) % np.pi) / np.pi * DIRECTIONS
    lower = np.floor(place).astype(np.int32) % DIRECTIONS
    share = (place - np.floor(place)).astype(np.float32)
    planes = np.zeros((DIRECTIONS, *luma.shape), np.float32)
    rows, columns = np.indices(luma.shape)
    planes[lower, rows, columns] = strength * (1 - share)
    planes[(lower + 1) % DIRECTIONS, rows, columns] += strength * share
    cells = [
        cv2.resize(
            cv2.GaussianBlur(plane, (0, 0), luma.shape[0] / 24),
            (GRADIENT_CELLS, GRADIENT_CELLS),
            interpolation=cv2.INTER_AREA,
        )
        for plane in planes
    ]
    histogram = np.asarray(cells, np.float32)
    return np.asarray(histogram - histogram.mean(), np.float32).ravel()


def _texture(luma: NDArray[np.float32]) -> _Vector:
    """Return the square roots of the shares of uniform local binary patterns."""
    shares = local_binary_patterns(luma.astype(np.uint8))
    return np.asarray(np.sqrt(shares), np.float32)
