"""Operations that look at edges: sharpened, raised, drawn, ringing."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image, top_of, with_channels
from augmentation_service.engine.parameters import Choice, Integer, Number
from augmentation_service.engine.randomness import Stream

__all__ = ["OPERATIONS"]

_BORDER = cv2.BORDER_REFLECT_101
_TOLERANCE = "one of 255 levels"


def _within(array: NDArray[Any], image: Image) -> Image:
    """Return what was made of an image, cut off as its values are, with its channels."""
    if image.dtype != np.uint8:
        array = np.clip(array, 0, 1)
    return with_channels(array, image.shape[2])


def _smooth(image: Image, sigma: float) -> NDArray[Any]:
    side = 2 * max(1, math.ceil(3 * sigma)) + 1
    return cv2.GaussianBlur(
        image, (side, side), sigma, borderType=_BORDER, hint=cv2.ALGO_HINT_ACCURATE
    )


def _sharpened(image: Image, stream: Stream, *, amount: float) -> Image:
    del stream
    if not amount:
        return image
    # 3 x 3, binomial: the difference to it is a Laplacian.
    smooth = cv2.GaussianBlur(image, (3, 3), 0, borderType=_BORDER, hint=cv2.ALGO_HINT_ACCURATE)
    weight = amount / 100 * 4
    return _within(cv2.addWeighted(_flat(image), 1 + weight, smooth, -weight, 0), image)


def _flat(image: Image) -> NDArray[Any]:
    """Return an image as OpenCV returns one: without the axis of a single channel."""
    return image[..., 0] if image.shape[2] == 1 else image


def _unsharp(
    image: Image, stream: Stream, *, sigma: float, amount: float, threshold: float
) -> Image:
    del stream
    if not sigma or not amount:
        return image
    smooth, weight = _smooth(image, sigma), amount / 100
    sharp = cv2.addWeighted(_flat(image), 1 + weight, smooth, -weight, 0)
    if threshold:
        limit = threshold if image.dtype == np.uint8 else threshold / 255
        flat = (cv2.absdiff(_flat(image), smooth) < limit).view(np.uint8)
        if flat.ndim == 3:
            sharp = np.where(flat != 0, image, sharp)
        else:
            cv2.copyTo(_flat(image), flat, sharp)
    return _within(sharp, image)


def _raised(image: Image, stream: Stream, *, strength: float) -> Image:
    del stream
    if not strength:
        return image
    s = strength / 100
    kernel = np.array([[-1, -1, 0], [-1, 0, 1], [0, 1, 1]], np.float32) * np.float32(s)
    kernel[1, 1] = 1
    return _within(cv2.filter2D(image, -1, kernel, borderType=_BORDER), image)


def _gradient(image: Image) -> NDArray[Any]:
    """Return how steep each channel is: the sum of Sobel's two derivatives, a quarter of it."""
    depth = cv2.CV_16S if image.dtype == np.uint8 else cv2.CV_32F
    x = cv2.Sobel(image, depth, 1, 0, borderType=_BORDER)
    y = cv2.Sobel(image, depth, 0, 1, borderType=_BORDER)
    if image.dtype != np.uint8:
        return np.asarray((np.abs(x) + np.abs(y)) / 4)
    return cv2.addWeighted(cv2.convertScaleAbs(x), 0.25, cv2.convertScaleAbs(y), 0.25, 0)


def _edged(image: Image, stream: Stream, *, image_type: str) -> Image:
    del stream
    if image_type == "edge_map":
        grey = image if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
        slope = _gradient(grey)
        edges = _within(cv2.add(slope, slope), grey)
        return edges if image.shape[2] == 1 else cv2.cvtColor(edges, cv2.COLOR_GRAY2RGB)
    # Pillow's EDGE_ENHANCE: the difference to all eight neighbours, halved, is added.
    kernel = np.full((3, 3), -0.5, np.float32)
    kernel[1, 1] = 5
    return _within(cv2.filter2D(image, -1, kernel, borderType=_BORDER), image)


def _contoured(image: Image, stream: Stream) -> Image:
    del stream
    kernel = np.full((3, 3), -1, np.float32)
    kernel[1, 1] = 8
    white = float(top_of(image))
    return _within(cv2.filter2D(image, -1, kernel, delta=white, borderType=_BORDER), image)


def _rung(image: Image, stream: Stream, *, cutoff: float, size: int) -> Image:
    del stream
    # A low-pass that ends at once, in x and in y: what is left of edges swings.
    places = np.arange(size) - (size - 1) / 2
    kernel = np.sinc(cutoff / 100 * places)
    kernel /= kernel.sum()
    return _within(cv2.sepFilter2D(image, -1, kernel, kernel, borderType=_BORDER), image)


OPERATIONS = (
    PixelOperation(
        name="sharpen",
        category="filters",
        description="Adds the difference to a 3 x 3 mean around every value.",
        parameters=(
            Number(
                name="amount",
                description="how much: 25 adds the difference once",
                unit="percent",
                least=0,
                most=200,
                default=50,
            ),
        ),
        function=_sharpened,
        exact=False,
        tolerance=_TOLERANCE,
        neutral={"amount": 0.0},
    ),
    PixelOperation(
        name="unsharp_mask",
        category="filters",
        description="Adds the difference to a blurred picture where it is large enough.",
        parameters=(
            Number(
                name="sigma",
                description="standard deviation of the blur",
                unit="pixels",
                least=0,
                most=20,
                default=2,
            ),
            Number(
                name="amount",
                description="how much of the difference is added",
                unit="percent",
                least=0,
                most=500,
                default=100,
            ),
            Number(
                name="threshold",
                description="smaller differences are left alone",
                unit="levels of 255",
                least=0,
                most=255,
                default=0,
            ),
        ),
        function=_unsharp,
        exact=False,
        tolerance=_TOLERANCE,
        cost="medium",
        neutral={"amount": 0.0},
        example={"sigma": 2.0, "amount": 150.0, "threshold": 3.0},
    ),
    PixelOperation(
        name="emboss",
        category="filters",
        description="Lights the picture from the upper left, as if brightness were height.",
        parameters=(
            Number(
                name="strength",
                description="how steep it is",
                unit="percent",
                least=0,
                most=300,
                default=100,
            ),
        ),
        function=_raised,
        exact=False,
        tolerance=_TOLERANCE,
        neutral={"strength": 0.0},
    ),
    PixelOperation(
        name="edge_filter",
        category="filters",
        description="Shows edges alone, or stronger than they are.",
        parameters=(
            Choice(
                name="image_type",
                description="what is shown",
                choices={
                    "edge_map": "edges alone, white on black (Sobel's operator, on luma)",
                    "edge_enhanced": "the picture, its edges stronger",
                },
            ),
        ),
        function=_edged,
        exact=False,
        tolerance=_TOLERANCE,
        example={"image_type": "edge_map"},
    ),
    PixelOperation(
        name="contour",
        category="filters",
        description="Draws edges on white, as with a fine pen.",
        parameters=(),
        function=_contoured,
        exact=False,
        tolerance=_TOLERANCE,
    ),
    PixelOperation(
        name="ringing",
        category="filters",
        description="Makes edges swing, as strong compression and sharp resampling do: a low-pass "
        "with a hard end.",
        parameters=(
            Number(
                name="cutoff",
                description="up to which frequency patterns pass",
                unit="percent of the highest",
                least=5,
                most=95,
                default=40,
            ),
            Integer(
                name="size",
                description="side of the kernel: how far edges swing",
                unit="pixels",
                least=3,
                most=51,
                default=15,
            ),
        ),
        function=_rung,
        exact=False,
        cost="medium",
        tolerance=_TOLERANCE,
    ),
)
