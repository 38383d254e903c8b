"""Operations that lose detail as storage and small sensors do: compression, low resolution."""

from __future__ import annotations

import math

import cv2
import numpy as np

from augmentation_service.engine import alpha
from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image, size_of, with_channels
from augmentation_service.engine.parameters import Choice, Integer, Number
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.warping import INTERPOLATIONS

__all__ = ["OPERATIONS"]

#: The longest side that the format can say.
_MAX_SIDE = {".jpg": 65_535, ".webp": 16_383}
_QUALITY = {".jpg": cv2.IMWRITE_JPEG_QUALITY, ".webp": cv2.IMWRITE_WEBP_QUALITY}


def _stored(image: Image, extension: str, quality: int) -> Image:
    """Return the picture after it was encoded; in parts where it is too long for the format."""
    longest = _MAX_SIDE[extension]
    axis = 0 if image.shape[0] >= image.shape[1] else 1
    if image.shape[axis] > longest:
        parts = np.array_split(image, math.ceil(image.shape[axis] / longest), axis=axis)
        stored = [_stored(np.ascontiguousarray(part), extension, quality) for part in parts]
        return np.concatenate(stored, axis=axis)
    grey = image.shape[2] == 1
    source = image if grey else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(extension, source, [_QUALITY[extension], quality])[1]
    flag = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR_RGB
    decoded = cv2.imdecode(encoded, flag)
    if decoded is None:
        raise ValueError(f"{extension}: what was encoded cannot be decoded: {image.shape}")
    return with_channels(decoded, image.shape[2])


def _as_jpeg(image: Image, stream: Stream, *, quality: int) -> Image:
    del stream
    return _stored(image, ".jpg", quality)


def _as_webp(image: Image, stream: Stream, *, quality: int) -> Image:
    del stream
    return _stored(image, ".webp", quality)


def _smaller(image: Image, size: tuple[int, int], flag: int) -> Image:
    def kernel(array: Image) -> Image:
        small = cv2.resize(array, size, interpolation=cv2.INTER_AREA)
        return cv2.resize(small, size_of(array), interpolation=flag)

    return alpha.averaged(image, kernel)


def _downscaled(image: Image, stream: Stream, *, factor: float, interpolation: str) -> Image:
    del stream
    width, height = size_of(image)
    size = max(1, round(width / factor)), max(1, round(height / factor))
    if size == (width, height):
        return image
    return _smaller(image, size, INTERPOLATIONS[interpolation])


def _pixelated(image: Image, stream: Stream, *, size: int) -> Image:
    del stream
    width, height = size_of(image)
    blocks = max(1, round(width / size)), max(1, round(height / size))
    return _smaller(image, blocks, cv2.INTER_NEAREST) if size > 1 else image


def _quality(default: int) -> Integer:
    return Integer(
        name="quality",
        description="of the encoder: lower is smaller and worse",
        unit="of 100",
        least=1,
        most=100,
        default=default,
    )


OPERATIONS = (
    PixelOperation(
        name="jpeg_compression",
        category="degradation",
        description="Makes what JPEG leaves of the picture.",
        parameters=(_quality(30),),
        function=_as_jpeg,
        eight_bits=True,
        exact=False,
        tolerance="a few of 255 levels, with another version of the encoder more",
        cost="medium",
        example={"quality": 8},
    ),
    PixelOperation(
        name="webp_compression",
        category="degradation",
        description="Makes what WebP leaves of the picture.",
        parameters=(_quality(30),),
        function=_as_webp,
        eight_bits=True,
        exact=False,
        tolerance="a few of 255 levels, with another version of the encoder more",
        cost="high",
        example={"quality": 5},
    ),
    PixelOperation(
        name="downscale",
        category="degradation",
        description="Makes the picture smaller and as large again: detail is lost.",
        parameters=(
            Number(
                name="factor",
                description="how much smaller",
                unit="factor",
                least=1,
                most=64,
            ),
            Choice(
                name="interpolation",
                description="how it is made large again",
                choices={
                    "nearest": "in squares",
                    "linear": "softly",
                    "cubic": "softly, edges overshoot",
                },
                default="linear",
            ),
        ),
        function=_downscaled,
        sees_opacity=True,
        exact=False,
        tolerance="one of 255 levels",
        neutral={"factor": 1.0},
        example={"factor": 5.0},
    ),
    PixelOperation(
        name="pixelate",
        category="degradation",
        description="Replaces squares by their mean.",
        parameters=(
            Integer(
                name="size",
                description="side of the squares, about: a whole number of them fills the picture",
                unit="pixels",
                least=1,
                most=512,
            ),
        ),
        function=_pixelated,
        sees_opacity=True,
        exact=False,
        tolerance="one of 255 levels",
        neutral={"size": 1},
        example={"size": 12},
    ),
)
