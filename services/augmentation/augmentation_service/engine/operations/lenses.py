"""Operations that blur as lenses, movement and panes of glass do."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine import alpha
from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image
from augmentation_service.engine.parameters import Integer, Number
from augmentation_service.engine.randomness import Stream

__all__ = ["OPERATIONS"]

_BORDER = cv2.BORDER_REFLECT_101
_TOLERANCE = "one of 255 levels"
#: The side of the smallest kernel that OpenCV applies by a Fourier transform.
_TRANSFORMED = 11
#: A zoom is the mean of two to the power of this many pictures.
_DOUBLINGS = 4


def _line(length: float, degrees: float) -> NDArray[np.float32]:
    """Return a kernel (side, side) with a line through its middle, of sum 1.

    One pixel for each step along the longer of its two extents: every one costs time.
    """
    half = (length - 1) / 2
    angle = math.radians(degrees)
    across, down = half * math.cos(angle), -half * math.sin(angle)
    reach = max(1, math.ceil(max(abs(across), abs(down))))
    count = 2 * math.ceil(max(abs(across), abs(down))) + 1
    along = np.linspace(-1, 1, count)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    x, y = (np.floor(along * extent + 0.5).astype(int) + reach for extent in (across, down))
    kernel[y, x] = 1
    return np.asarray(kernel / kernel.sum())


def _moved(image: Image, stream: Stream, *, length: float, angle: float) -> Image:
    del stream
    if length == 1:
        return image
    kernel = _line(length, angle)
    return alpha.averaged(image, lambda array: _along(array, kernel))


def _along(array: NDArray[Any], kernel: NDArray[np.float32]) -> NDArray[Any]:
    """Return means along a line, all of whose pixels weigh the same."""
    side = len(kernel)
    if array.dtype != np.uint8 or side < _TRANSFORMED:
        return cv2.filter2D(array, -1, kernel, borderType=_BORDER)
    # Larger kernels OpenCV takes to frequencies and back; a line is a few sums.
    height, width, channels = array.shape
    reach = side // 2
    padded: NDArray[Any] = cv2.copyMakeBorder(array, reach, reach, reach, reach, _BORDER)
    flat = padded.reshape(height + 2 * reach, -1)
    total = np.zeros((height, width * channels), np.uint16)
    places = np.argwhere(kernel).tolist()
    for y, x in places:
        total += flat[y : y + height, x * channels : (x + width) * channels]
    return cv2.convertScaleAbs(total, alpha=1 / len(places)).reshape(array.shape)


def _rectangles(radius: float) -> list[tuple[int, int, int]]:
    """Return a disc as rectangles: half width, half height, and whether it is added or taken.

    A disc of pixels is a stack of ever narrower, ever higher rectangles; what each shares with
    the one before is taken away again.
    """
    reach = int(radius)
    halves = [math.floor(math.sqrt(radius * radius - y * y)) for y in range(reach + 1)]
    found: list[tuple[int, int, int]] = []
    for y, half in enumerate(halves):
        if y == reach or halves[y + 1] < half:
            found.append((half, y, 1))
            if y < reach:
                found.append((halves[y + 1], y, -1))
    return found


def _disc(array: NDArray[Any], radius: float) -> NDArray[Any]:
    parts = _rectangles(radius)
    area = sum(sign * (2 * across + 1) * (2 * down + 1) for across, down, sign in parts)
    small = array.dtype == np.uint8 and area * 255 < 1 << 16
    depth = {np.dtype(np.float32): cv2.CV_32F}.get(array.dtype, cv2.CV_16U if small else cv2.CV_32S)
    total = None
    for across, down, sign in parts:
        size = (2 * across + 1, 2 * down + 1)
        one = cv2.boxFilter(array, depth, size, normalize=False, borderType=_BORDER)
        if total is None:
            total = one
        else:
            (np.add if sign > 0 else np.subtract)(total, one, out=total)
    if total is None:
        return array
    if array.dtype == np.uint8:
        return cv2.convertScaleAbs(total, alpha=1 / area)
    if array.dtype == np.uint16:
        return np.asarray(total // area, np.uint16)
    return np.asarray(total / np.float32(area))


def _defocused(image: Image, stream: Stream, *, radius: float) -> Image:
    del stream
    return alpha.averaged(image, lambda array: _disc(array, radius)) if radius >= 1 else image


def _zoomed(image: Image, stream: Stream, *, factor: float) -> Image:
    del stream
    return alpha.averaged(image, lambda array: _zooms(array, factor)) if factor > 1 else image


def _zooms(array: NDArray[Any], factor: float) -> NDArray[Any]:
    """Return the mean of the picture at sizes from 1 to `factor`, evenly in their logarithm.

    Each round averages what there is with itself, enlarged by half as much as the round before.
    """
    height, width = array.shape[:2]
    for number in range(_DOUBLINGS):
        scale = factor ** (2.0 ** -(number + 1))
        x0, y0 = (width - 1) / 2 * (1 - scale), (height - 1) / 2 * (1 - scale)
        matrix = np.array([[scale, 0, x0], [0, scale, y0]])
        larger = cv2.warpAffine(array, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        array = cv2.addWeighted(array.reshape(larger.shape), 0.5, larger, 0.5, 0)
    return array


def _frosted(
    image: Image, stream: Stream, *, distance: int, sigma: float, iterations: int
) -> Image:
    result = image
    for _ in range(iterations):
        result = _displaced(result, stream, distance)
    if not sigma:
        return result
    side = 2 * max(1, math.ceil(3 * sigma)) + 1

    def kernel(array: NDArray[Any]) -> NDArray[Any]:
        return cv2.GaussianBlur(
            array, (side, side), sigma, borderType=_BORDER, hint=cv2.ALGO_HINT_ACCURATE
        )

    return alpha.averaged(result, kernel)


def _displaced(image: Image, stream: Stream, distance: int) -> Image:
    """Return the picture with each pixel replaced by one up to `distance` away."""
    if not distance:
        return image
    height, width = image.shape[:2]
    words = stream.halfwords(2 * height * width).reshape(2, height, width)
    span = np.uint32(2 * distance + 1)
    across, down = ((words * span) >> np.uint32(16)).astype(np.int32) - distance
    x = np.clip(across + np.arange(width, dtype=np.int32), 0, width - 1)
    y = np.clip(down + np.arange(height, dtype=np.int32)[:, None], 0, height - 1)
    places = y * width + x
    if image.dtype == np.uint8 and image.shape[2] == 3:
        # Whole pixels at once, as one number.
        packed = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA).reshape(-1, 4).view(np.uint32)
        moved: Image = np.take(packed[:, 0], places, mode="clip").view(np.uint8)
        return cv2.cvtColor(moved.reshape(height, width, 4), cv2.COLOR_RGBA2RGB)
    pixels = np.take(image.reshape(-1, image.shape[2]), places.reshape(-1), axis=0)
    return np.asarray(pixels).reshape(image.shape)


OPERATIONS = (
    PixelOperation(
        name="motion_blur",
        category="blur",
        description="Blurs along a line, as a movement of the camera does.",
        parameters=(
            Number(
                name="length",
                description="of the line; 1 is sharp",
                unit="pixels",
                least=1,
                most=101,
            ),
            Number(
                name="angle",
                description="of the line, anticlockwise from the horizontal",
                unit="degrees",
                least=-180,
                most=180,
                default=0,
            ),
        ),
        function=_moved,
        sees_opacity=True,
        exact=False,
        tolerance=_TOLERANCE,
        cost="medium",
        neutral={"length": 1.0},
        example={"length": 15.0, "angle": 30.0},
    ),
    PixelOperation(
        name="defocus",
        category="blur",
        description="Blurs as a lens out of focus does: each point becomes a disc.",
        parameters=(
            Number(
                name="radius",
                description="of the disc; below 1 it is the point",
                unit="pixels",
                least=0,
                most=50,
            ),
        ),
        function=_defocused,
        sees_opacity=True,
        exact=False,
        tolerance=_TOLERANCE,
        cost="medium",
        neutral={"radius": 0.0},
        example={"radius": 6.0},
    ),
    PixelOperation(
        name="zoom_blur",
        category="blur",
        description="Blurs away from the middle, as zooming while the shutter is open does.",
        parameters=(
            Number(
                name="factor",
                description="the last size, of the first",
                unit="factor",
                least=1,
                most=2,
            ),
        ),
        function=_zoomed,
        sees_opacity=True,
        exact=False,
        tolerance=_TOLERANCE,
        cost="medium",
        neutral={"factor": 1.0},
        example={"factor": 1.2},
    ),
    PixelOperation(
        name="glass_blur",
        category="blur",
        description="Scatters pixels among their neighbours and blurs, as frosted glass does.",
        parameters=(
            Integer(
                name="distance",
                description="how far away the pixel that is shown may lie, in x and in y",
                unit="pixels",
                least=0,
                most=30,
                default=3,
            ),
            Number(
                name="sigma",
                description="standard deviation of the Gaussian kernel afterwards",
                unit="pixels",
                least=0,
                most=10,
                default=0.7,
            ),
            Integer(
                name="iterations",
                description="how often pixels are scattered",
                unit="times",
                least=1,
                most=4,
                default=1,
            ),
        ),
        function=_frosted,
        exact=True,
        cost="medium",
        neutral={"distance": 0, "sigma": 0.0},
    ),
)
