"""Texture: uniform local binary patterns and edges."""

from __future__ import annotations

import cv2
import numpy as np
from imagesystem.events import Texture
from numpy.typing import NDArray

from inference_service.decoding import Pixels

__all__ = ["find_edges", "local_binary_patterns", "measure_texture"]

#: Gradients (Sobel, L1) that begin and continue an edge.
CANNY_CONTINUES, CANNY_BEGINS = 100, 200
#: The eight neighbours, around the circle.
NEIGHBOURS = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))


def _rotation_invariant_bins() -> Pixels:
    """Return the bin of each 8-bit pattern: its number of ones, or 9 with over two changes."""
    codes = np.arange(256)
    bits = (codes[:, None] >> np.arange(8)) & 1
    changes = np.count_nonzero(bits != np.roll(bits, 1, axis=1), axis=1)
    return np.where(changes <= 2, bits.sum(axis=1), 9).astype(np.uint8)


_BINS = _rotation_invariant_bins()


def find_edges(luma: Pixels) -> Pixels:
    """Return the edges (Canny 1986) of `luma` (h, w): uint8 (h, w), 255 on an edge, else 0."""
    return np.asarray(cv2.Canny(luma, CANNY_CONTINUES, CANNY_BEGINS), np.uint8)


def measure_texture(luma: Pixels, edges: Pixels) -> Texture:
    """Measure `luma` uint8 (h, w)."""
    shares = local_binary_patterns(luma)
    return Texture(
        lbp=[round(float(share), 5) for share in shares],
        uniformity=round(float(shares @ shares), 5),
        edge_density=round(float(np.count_nonzero(edges) / edges.size), 5),
    )


def local_binary_patterns(luma: Pixels) -> NDArray[np.float64]:
    """Return the shares of ten patterns in `luma` uint8 (h, w): float64 (10,), sum 1.

    Rotation-invariant uniform patterns of the eight neighbours at distance one (Ojala,
    Pietikäinen and Mäenpää 2002; the square's corners are not interpolated).
    """
    height, width = luma.shape
    padded = np.pad(luma, 1, mode="edge")
    codes = np.zeros((height, width), np.uint8)
    for bit, (top, left) in enumerate(NEIGHBOURS):
        neighbour = padded[top : top + height, left : left + width]
        codes |= (neighbour >= luma).view(np.uint8) << np.uint8(bit)
    of_codes = np.bincount(codes.ravel(), minlength=256)
    return np.bincount(_BINS, weights=of_codes, minlength=10) / luma.size
