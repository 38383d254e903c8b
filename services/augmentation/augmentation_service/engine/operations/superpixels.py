"""Operations that replace regions of similar colour by their mean."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image, size_of
from augmentation_service.engine.parameters import Integer, Number
from augmentation_service.engine.randomness import Stream

__all__ = ["OPERATIONS"]

#: Regions are found in a picture of this longer side, at most.
_SIDE = 160
_ROUNDS = 4
#: How much places count, against colours.
_COMPACTNESS = 18.0


def _regions(image: Image, count: int) -> NDArray[np.int64]:
    """Return which region each pixel of a uint8 image belongs to, (H, W).

    Achanta et al.: SLIC superpixels, PAMI 2012: k-means of colour and place, each pixel compared
    with the nine seeds of the grid around it.
    """
    height, width = image.shape[:2]
    step = max(1.0, math.sqrt(height * width / count))
    columns, rows = max(1, round(width / step)), max(1, round(height / step))
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    own_column, own_row = x * columns // width, y * rows // height
    scale = np.float32(_COMPACTNESS / step)
    colours = image.reshape(height, width, -1).astype(np.float32)
    places = np.dstack([x * scale, y * scale]).astype(np.float32)
    features = np.dstack([colours, places])
    label: NDArray[np.int64] = own_row * columns + own_column
    for _ in range(_ROUNDS):
        means = _means(features, label, rows * columns)
        best = np.full((height, width), np.inf, np.float32)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                row = np.clip(own_row + down, 0, rows - 1)
                candidate = row * columns + np.clip(own_column + right, 0, columns - 1)
                away = ((features - means[candidate]) ** 2).sum(axis=2)
                nearer = away < best
                best = np.where(nearer, away, best)
                label = np.where(nearer, candidate, label)
    return label


def _means(
    features: NDArray[np.float32], label: NDArray[np.int64], count: int
) -> NDArray[np.float32]:
    """Return the mean of each region, (count, features); infinite where it has no pixel."""
    flat, many = label.reshape(-1), features.shape[2]
    sizes = np.bincount(flat, minlength=count)
    sums = [np.bincount(flat, features[..., feature].reshape(-1), count) for feature in range(many)]
    means = np.stack(sums, axis=1) / np.maximum(sizes, 1)[:, None]
    means[sizes == 0] = 1e6
    return means.astype(np.float32)


def _replaced(image: Image, stream: Stream, *, count: int, share: float) -> Image:
    if not share:
        return image
    width, height = size_of(image)
    scale = min(1.0, _SIDE / max(width, height))
    small = max(1, round(width * scale)), max(1, round(height * scale))
    reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    reduced = reduced.reshape(small[1], small[0], image.shape[2])
    label = _regions(reduced, count)
    regions = int(label.max()) + 1
    means = np.rint(_means(reduced.astype(np.float32), label, regions)).clip(0, 255)
    chosen = stream.units(regions) < share / 100
    colours = means.astype(np.uint8)[label].reshape(*label.shape, image.shape[2])
    whole = cv2.resize(colours, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    hit = chosen[label].astype(np.uint8)
    mask = cv2.resize(hit, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    result = image.copy()
    cv2.copyTo(whole.reshape(image.shape), mask.reshape(height, width), result)
    return result


OPERATIONS = (
    PixelOperation(
        name="superpixels",
        category="degradation",
        description="Replaces regions of similar colour by their mean (SLIC, Achanta et al., "
        "2012).",
        parameters=(
            Integer(
                name="count",
                description="how many regions the picture is divided into, about",
                unit="regions",
                least=2,
                most=2000,
                default=150,
            ),
            Number(
                name="share",
                description="how many of them are replaced",
                unit="percent",
                least=0,
                most=100,
                default=100,
            ),
        ),
        function=_replaced,
        eight_bits=True,
        exact=False,
        tolerance="a few of 255 levels, more at edges of regions",
        cost="high",
        neutral={"share": 0.0},
        example={"count": 150, "share": 100.0},
    ),
)
