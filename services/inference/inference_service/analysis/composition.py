"""Composition: where the eye goes, and how the picture is laid out."""

from __future__ import annotations

import cv2
import numpy as np
from imagesystem.events import Composition, Point
from numpy.typing import NDArray

from inference_service.decoding import Pixels

__all__ = ["find_saliency", "measure_composition"]

#: Side of the square map on which composition is measured (the paper's 64 pixels).
SIDE = 64
#: Blur of the saliency map, in its pixels (the paper: a Gaussian of about 1/20 of the width).
BLUR = 3.0
#: Distance from an intersection of thirds, in shares of width and height, that counts as near.
NEAR = 1 / 9
#: Standard deviation of luma below which there is nothing to look at.
BLANK = 0.5


def measure_composition(luma: Pixels) -> Composition:
    """Measure `luma` uint8 (h, w)."""
    small = np.asarray(cv2.resize(luma, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float64)
    saliency = find_saliency(small)
    places = (np.arange(SIDE) + 0.5) / SIDE
    return Composition(
        thirds=round(float(saliency[_near_thirds(places)].sum()), 4),
        symmetry_horizontal=_likeness(small, small[:, ::-1]),
        symmetry_vertical=_likeness(small, small[::-1]),
        saliency_centre=Point(
            x=round(float(saliency.sum(axis=0) @ places), 4),
            y=round(float(saliency.sum(axis=1) @ places), 4),
        ),
    )


def find_saliency(small: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of attention of each place of `small` (n, n): float64 (n, n), sum 1.

    The spectral residual (Hou and Zhang, CVPR 2007, "Saliency Detection: A Spectral Residual
    Approach"): what the logarithm of the amplitude spectrum has above its local mean,
    transformed back with the phase kept. A blank picture attracts the eye nowhere: uniform.
    """
    if small.std() < BLANK:
        return np.full(small.shape, 1 / small.size)
    spectrum = np.fft.fft2(small)
    # log1p: frequencies that are not there must not count as surprising ones
    logarithm = np.log1p(np.abs(spectrum))
    residual = logarithm - cv2.blur(logarithm, (3, 3), borderType=cv2.BORDER_REFLECT)
    back = np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))
    saliency = cv2.GaussianBlur(np.abs(back) ** 2, (0, 0), BLUR, borderType=cv2.BORDER_REFLECT)
    return np.asarray(saliency / saliency.sum(), np.float64)


def _near_thirds(places: NDArray[np.float64]) -> NDArray[np.bool_]:
    from_third = np.minimum(np.abs(places - 1 / 3), np.abs(places - 2 / 3))
    return np.asarray(np.hypot(from_third[:, None], from_third[None, :]) <= NEAR)


def _likeness(small: NDArray[np.float64], mirrored: NDArray[np.float64]) -> float:
    """Return the correlation of a picture and its mirror image, 0 to 1; a blank one is like."""
    centred, other = small - small.mean(), mirrored - mirrored.mean()
    energy = float((centred * centred).sum())
    if energy < BLANK**2 * small.size:
        return 1.0
    return round(max(0.0, float((centred * other).sum()) / energy), 4)
