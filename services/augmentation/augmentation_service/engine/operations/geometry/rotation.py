"""Operations that turn pictures by any angle: rotate."""

from __future__ import annotations

import math

import cv2

from augmentation_service.engine.declarations import GeometricOperation
from augmentation_service.engine.images import Image, Size, with_channels
from augmentation_service.engine.moves import Affine
from augmentation_service.engine.parameters import Choice, Number
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.warping import BORDER, FILL, INTERPOLATION, warp_matrix

__all__ = ["OPERATIONS"]

#: Cosine and sine of the right angles, which floating point misses by 1e-16.
_RIGHT_ANGLES = {0.0: (1.0, 0.0), 90.0: (0.0, 1.0), 180.0: (-1.0, 0.0), 270.0: (0.0, -1.0)}
_TURNS = {
    90.0: cv2.ROTATE_90_COUNTERCLOCKWISE,
    180.0: cv2.ROTATE_180,
    270.0: cv2.ROTATE_90_CLOCKWISE,
}
#: What is below this part of a pixel is a rounding error.
_CRUMB = 1e-6


def _rotation(size: Size, stream: Stream, *, angle: float, canvas: str, **_: object) -> Affine:
    del stream
    width, height = size
    turn = math.radians(angle % 360)
    cos, sin = _RIGHT_ANGLES.get(angle % 360) or (math.cos(turn), math.sin(turn))
    if canvas == "expand":
        size = (
            math.ceil(width * abs(cos) + height * abs(sin) - _CRUMB),
            math.ceil(width * abs(sin) + height * abs(cos) - _CRUMB),
        )
    # About the middle of the picture, which becomes the middle of the canvas; y grows
    # downwards, so that counter-clockwise is this way round.
    return Affine.about_middle((width, height), size, ((cos, sin), (-sin, cos)))


def _rotated(
    image: Image,
    move: Affine,
    *,
    angle: float,
    canvas: str,
    interpolation: str,
    border: str,
    fill: str,
) -> Image:
    angle %= 360
    if not angle:
        return image
    height, width, channels = image.shape
    # Nothing to interpolate where pixels land on pixels.
    if angle == 180 or (angle in _TURNS and (canvas == "expand" or width == height)):
        return with_channels(cv2.rotate(image, _TURNS[angle]), channels)
    return warp_matrix(image, move, interpolation=interpolation, border=border, fill=fill)


OPERATIONS = (
    GeometricOperation(
        name="rotate",
        category="geometry",
        description="Rotates the picture about its middle.",
        parameters=(
            Number(
                name="angle",
                description="how far, counter-clockwise; negative: clockwise",
                unit="degrees",
                least=-360,
                most=360,
            ),
            Choice(
                name="canvas",
                description="the size of the result",
                choices={
                    "keep": "the picture's: corners are cut off",
                    "expand": "as large as the rotated picture needs",
                },
                default="keep",
            ),
            INTERPOLATION,
            BORDER,
            FILL,
        ),
        move=_rotation,
        warp=_rotated,
        exact=False,
        tolerance="right angles on a square or an expanded canvas, and 180 degrees, are exact; "
        "otherwise a few of 255 levels at hard edges",
        neutral={"angle": 0.0},
        example={"angle": 20.0},
    ),
)
