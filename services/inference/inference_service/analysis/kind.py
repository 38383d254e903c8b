"""Kind: photo, graphic or document, told from twelve measurements by a linear rule.

The rule is a multinomial logistic regression; its weights stand in `kind_weights` and are
learned by `training/fit.py`. How well it does is told in docs/explanation/analysis.md.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from imagesystem.events import Kind
from numpy.typing import NDArray

from inference_service.analysis.kind_weights import BIAS, CENTRE, SPREAD, WEIGHTS
from inference_service.decoding import Pixels

__all__ = ["EVIDENCE", "NAMES", "classify", "find_evidence"]

NAMES: tuple[Literal["photo"], Literal["graphic"], Literal["document"]] = (
    "photo",
    "graphic",
    "document",
)

#: What is measured, and what it means; in the order of the weights.
EVIDENCE: dict[str, str] = {
    "equal_neighbours": "share of neighbouring pixels with the very same luma",
    "near_neighbours": "share of neighbouring pixels whose luma differs by one level or less",
    "quiet_grain": "log(1 + lower quartile of |Laplacian|): noise where the picture is calm",
    "grain": "log(1 + median of |Laplacian|)",
    "colour_variety": "entropy of the colour histogram, as a share of its largest value",
    "palette": "share of the pixels in the eight commonest colours",
    "chroma": "mean difference of the strongest and the weakest channel, 0-1",
    "ground": "share of the ground (strokes wiped out) within 24 levels of its median",
    "ground_spread": "standard deviation of the ground, 0-1",
    "strokes": "share of pixels in thin strokes that stand out by 32 levels or more",
    "stroke_evenness": "mean height of strokes over that of the strongest ones",
    "edges": "share of Canny edge pixels",
}
#: Strokes are thinner than this, in pixels at the analysis scale.
STROKE_PIXELS = 15
STANDS_OUT = 32
NEAR_GROUND = 24
#: Mean luma from which a picture counts as dark strokes on a light ground.
LIGHT_GROUND = 110


def classify(pixels: Pixels, luma: Pixels, edges: Pixels, shares: NDArray[np.float64]) -> Kind:
    """Return the kind of a picture.

    `pixels` uint8 (h, w, 3), its `luma` and `edges` uint8 (h, w), `shares` of the occupied
    cells of its colour histogram (n,).
    """
    evidence = find_evidence(pixels, luma, edges, shares)
    values = (np.array(list(evidence.values())) - CENTRE) / SPREAD
    scores = np.asarray(WEIGHTS) @ values + BIAS
    likelihood = np.exp(scores - scores.max())
    likelihood /= likelihood.sum()
    best = int(np.argmax(likelihood))
    return Kind(name=NAMES[best], confidence=round(float(likelihood[best]), 4), evidence=evidence)


def find_evidence(
    pixels: Pixels, luma: Pixels, edges: Pixels, shares: NDArray[np.float64]
) -> dict[str, float]:
    """Return the measurements of `EVIDENCE`, in that order; arguments as for `classify`."""
    equal, near = _neighbours(luma)
    quiet, grain = _grain(luma)
    strokes, evenness, ground = _strokes(luma)
    median = int(np.searchsorted(_levels(ground), 0.5))
    near_ground = cv2.inRange(ground, max(0, median - NEAR_GROUND), median + NEAR_GROUND)
    measured = (
        equal,
        near,
        quiet,
        grain,
        abs(float(shares @ np.log2(shares))) / 15,
        float(np.sort(shares)[-8:].sum()),
        _chroma(pixels),
        cv2.countNonZero(near_ground) / luma.size,
        float(cv2.meanStdDev(ground)[1][0, 0]) / 255,
        strokes,
        evenness,
        cv2.countNonZero(edges) / edges.size,
    )
    return {name: round(float(value), 4) for name, value in zip(EVIDENCE, measured, strict=True)}


def _levels(values: Pixels) -> NDArray[np.float64]:
    """Return how many of the values are 0, 1, … or less, as shares (256,)."""
    counts = cv2.calcHist([values], [0], None, [256], [0, 256])[:, 0].astype(np.float64)
    return np.asarray(np.cumsum(counts) / values.size)


def _chroma(pixels: Pixels) -> float:
    # channel by channel: numpy is slow along an axis of three
    red, green, blue = cv2.split(pixels)
    strongest = cv2.max(cv2.max(red, green), blue)
    weakest = cv2.min(cv2.min(red, green), blue)
    return float(cv2.mean(cv2.subtract(strongest, weakest))[0]) / 255


def _neighbours(luma: Pixels) -> tuple[float, float]:
    beside = cv2.absdiff(luma[:, 1:], luma[:, :-1]) if luma.shape[1] > 1 else None
    below = cv2.absdiff(luma[1:], luma[:-1]) if luma.shape[0] > 1 else None
    pairs = [np.asarray(pair, np.uint8) for pair in (beside, below) if pair is not None]
    count = sum(pair.size for pair in pairs)
    if not count:
        return 1.0, 1.0
    equal, near = sum((_levels(pair)[:2] * pair.size for pair in pairs), np.zeros(2)) / count
    return float(equal), float(near)


def _grain(luma: Pixels) -> tuple[float, float]:
    steps = np.asarray(cv2.convertScaleAbs(cv2.Laplacian(luma, cv2.CV_16S)), np.uint8)
    quartile, median = np.searchsorted(_levels(steps), (0.25, 0.5)).tolist()
    return float(np.log1p(quartile)), float(np.log1p(median))


def _strokes(luma: Pixels) -> tuple[float, float, Pixels]:
    """Return the share of pixels in strokes, how even these are, and the ground below them.

    Morphological closing wipes out dark strokes, opening light ones (Serra 1982).
    """
    dark_on_light = cv2.mean(luma)[0] >= LIGHT_GROUND
    kernel = np.ones((STROKE_PIXELS, STROKE_PIXELS), np.uint8)
    operation = cv2.MORPH_CLOSE if dark_on_light else cv2.MORPH_OPEN
    ground = np.asarray(cv2.morphologyEx(luma, operation, kernel), np.uint8)
    height = np.asarray(cv2.absdiff(ground, luma), np.uint8)
    standing = height[height >= STANDS_OUT]
    if not standing.size:
        return 0.0, 0.0, ground
    strongest = int(np.searchsorted(_levels(standing), 0.98))
    return standing.size / luma.size, min(1.0, float(standing.mean()) / strongest), ground
