"""Operations that change the size of the picture: resize, pad."""

from __future__ import annotations

import cv2

from augmentation_service.engine.declarations import GeometricOperation
from augmentation_service.engine.images import Image, Size, size_of, with_channels
from augmentation_service.engine.moves import Affine
from augmentation_service.engine.operations.geometry.affine import TOLERANCE
from augmentation_service.engine.operations.geometry.crops import PLACES, at, side
from augmentation_service.engine.parameters import Choice
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.warping import (
    BORDER,
    BORDERS,
    FILL,
    INTERPOLATION,
    pixel_of,
    scaled,
)

__all__ = ["OPERATIONS"]


def _resize(
    size: Size, stream: Stream, *, width: int, height: int, fit: str, **_: object
) -> Affine:
    del stream
    after = (width, height)
    if fit != "stretch":
        pick = min if fit == "inside" else max
        factor = pick(width / size[0], height / size[1])
        after = (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))
    return Affine(size=after, xx=after[0] / size[0], yy=after[1] / size[1])


def _resized(image: Image, move: Affine, *, interpolation: str, **_: object) -> Image:
    return scaled(image, move.size, interpolation)


def _pad(
    size: Size, stream: Stream, *, width: int, height: int, x: float, y: float, **_: object
) -> Affine:
    del stream
    after = (max(width, size[0]), max(height, size[1]))
    left, top = at(after[0] - size[0], x), at(after[1] - size[1], y)
    return Affine(size=after, x0=float(left), y0=float(top))


def _padded(image: Image, move: Affine, *, border: str, fill: str, **_: object) -> Image:
    if move.size == size_of(image):
        return image
    left, top = int(move.x0), int(move.y0)
    padded = cv2.copyMakeBorder(
        image,
        top,
        move.size[1] - image.shape[0] - top,
        left,
        move.size[0] - image.shape[1] - left,
        BORDERS[border],
        value=pixel_of(fill, image).tolist(),
    )
    return with_channels(padded, image.shape[2])


OPERATIONS = (
    GeometricOperation(
        name="resize",
        category="geometry",
        description="Makes the picture larger or smaller.",
        parameters=(
            side("width", "of the result, or what it is fitted to"),
            side("height", "of the result, or what it is fitted to"),
            Choice(
                name="fit",
                description="how its shape is kept",
                choices={
                    "stretch": "not at all: it is made exactly that",
                    "inside": "the largest of its shape that fits in",
                    "outside": "the smallest of its shape that fills it",
                },
                default="stretch",
            ),
            INTERPOLATION,
        ),
        move=_resize,
        warp=_resized,
        exact=False,
        tolerance=TOLERANCE,
        example={"width": 36, "height": 36},
    ),
    GeometricOperation(
        name="pad",
        category="geometry",
        description="Adds a margin until the picture is as large as asked for.",
        parameters=(
            side("width", "of the result, at least"),
            side("height", "of the result, at least"),
            *PLACES,
            BORDER,
            FILL,
        ),
        move=_pad,
        warp=_padded,
        exact=True,
        neutral={"width": 1, "height": 1},
        example={"width": 80, "height": 64, "border": "reflect"},
    ),
)
