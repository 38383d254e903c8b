"""Operations that move the picture by an affine map: shift, scale, zoom, shear, affine."""

from __future__ import annotations

import math

import cv2

from augmentation_service.engine.declarations import GeometricOperation
from augmentation_service.engine.images import Image, Size, size_of, with_channels
from augmentation_service.engine.moves import Affine
from augmentation_service.engine.parameters import Choice, Number
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.warping import (
    BORDER,
    BORDERS,
    FILL,
    INTERPOLATION,
    pixel_of,
    scaled,
    warp_matrix,
)

__all__ = ["OPERATIONS"]

_SAMPLING = (INTERPOLATION, BORDER, FILL)
#: Where nothing is interpolated, machines agree; elsewhere they may round the other way.
TOLERANCE = "a few of 255 levels at hard edges"


def _percent(name: str, description: str, side: str) -> Number:
    return Number(
        name=name,
        description=description,
        unit=f"percent of the {side}",
        least=-100,
        most=100,
        default=0,
    )


def _degrees(name: str, description: str) -> Number:
    return Number(name=name, description=description, unit="degrees", least=-60, most=60, default=0)


_SHIFTS = (
    _percent("x", "how far to the right; negative: to the left", "width"),
    _percent("y", "how far down; negative: up", "height"),
)
_SHEARS = (
    _degrees("shear_x", "by how much upright lines lean to the right, downwards"),
    _degrees("shear_y", "by how much level lines lean down, to the right"),
)


def whole(share: float, side: int) -> int:
    """Return a percentage of a side in whole pixels, halves away from zero."""
    return int(math.copysign(math.floor(abs(share) * side / 100 + 0.5), share))


def _shift(size: Size, stream: Stream, *, x: float, y: float, border: str, fill: str) -> Affine:
    del stream, border, fill
    return Affine(size=size, x0=float(whole(x, size[0])), y0=float(whole(y, size[1])))


def _shifted(image: Image, move: Affine, *, border: str, fill: str, **_: object) -> Image:
    dx, dy = int(move.x0), int(move.y0)
    if not dx and not dy:
        return image
    width, height = size_of(image)
    padded = cv2.copyMakeBorder(
        image,
        max(dy, 0),
        max(-dy, 0),
        max(dx, 0),
        max(-dx, 0),
        BORDERS[border],
        value=pixel_of(fill, image).tolist(),
    )
    top, left = max(-dy, 0), max(-dx, 0)
    return with_channels(padded, image.shape[2])[top : top + height, left : left + width]


def _scale(size: Size, stream: Stream, *, x: float, y: float, canvas: str, **_: object) -> Affine:
    del stream
    if canvas == "keep":
        return Affine.about_middle(size, size, ((x, 0), (0, y)))
    after = (max(1, round(size[0] * x)), max(1, round(size[1] * y)))
    return Affine(size=after, xx=after[0] / size[0], yy=after[1] / size[1])


def _scaled(
    image: Image,
    move: Affine,
    *,
    canvas: str,
    interpolation: str,
    border: str,
    fill: str,
    **_: object,
) -> Image:
    if canvas == "fit":
        return scaled(image, move.size, interpolation)
    return warp_matrix(image, move, interpolation=interpolation, border=border, fill=fill)


def _zoom(size: Size, stream: Stream, *, factor: float, x: float, y: float, **_: object) -> Affine:
    del stream
    # The part that is seen lies where x and y say, in what is left over.
    return Affine(
        size=size,
        xx=factor,
        yy=factor,
        x0=(1 - factor) * size[0] * x / 100,
        y0=(1 - factor) * size[1] * y / 100,
    )


def _zoomed(image: Image, move: Affine, *, interpolation: str, **_: object) -> Image:
    # What is beyond the edge is seen by less than half a pixel.
    return warp_matrix(image, move, interpolation=interpolation, border="edge", fill="#00000000")


def _shear(size: Size, stream: Stream, *, shear_x: float, shear_y: float, **_: object) -> Affine:
    del stream
    lean_x, lean_y = (math.tan(math.radians(angle)) for angle in (shear_x, shear_y))
    return Affine.about_middle(size, size, ((1, lean_x), (lean_y, 1)))


def _affine(
    size: Size,
    stream: Stream,
    *,
    angle: float,
    scale: float,
    shear_x: float,
    shear_y: float,
    x: float,
    y: float,
    **_: object,
) -> Affine:
    """Shear, then scale and rotate, all about the middle; then shift."""
    turn = math.radians(angle)
    cos, sin = scale * math.cos(turn), scale * math.sin(turn)
    lean_x, lean_y = (math.tan(math.radians(lean)) for lean in (shear_x, shear_y))
    rows = (
        (cos + sin * lean_y, cos * lean_x + sin),
        (cos * lean_y - sin, cos - sin * lean_x),
    )
    middle = Affine.about_middle(size, size, rows)
    return Affine(
        size=size,
        xx=middle.xx,
        xy=middle.xy,
        x0=middle.x0 + x * size[0] / 100,
        yx=middle.yx,
        yy=middle.yy,
        y0=middle.y0 + y * size[1] / 100,
    )


OPERATIONS = (
    GeometricOperation(
        name="shift",
        category="geometry",
        description="Shifts the picture by whole pixels.",
        parameters=(*_SHIFTS, BORDER, FILL),
        move=_shift,
        warp=_shifted,
        exact=True,
        neutral={"x": 0.0, "y": 0.0},
        example={"x": 15.0, "y": -10.0},
    ),
    GeometricOperation(
        name="scale",
        category="geometry",
        description="Makes what is seen larger or smaller, each direction by its own factor.",
        parameters=(
            Number(name="x", description="by how much wider", unit="factor", least=0.05, most=20),
            Number(name="y", description="by how much higher", unit="factor", least=0.05, most=20),
            Choice(
                name="canvas",
                description="the size of the result",
                choices={
                    "keep": "the picture's, about its middle",
                    "fit": "as large as the scaled picture",
                },
                default="keep",
            ),
            *_SAMPLING,
        ),
        move=_scale,
        warp=_scaled,
        exact=False,
        tolerance=TOLERANCE,
        neutral={"x": 1.0, "y": 1.0},
        example={"x": 0.7, "y": 0.9},
    ),
    GeometricOperation(
        name="zoom",
        category="geometry",
        description="Shows a part of the picture, as large as the whole was.",
        parameters=(
            Number(name="factor", description="how much larger", unit="factor", least=1, most=20),
            Number(
                name="x",
                description="where the part lies: 0 at the left edge, 100 at the right one",
                unit="percent of the width that is left over",
                least=0,
                most=100,
                default=50,
            ),
            Number(
                name="y",
                description="where the part lies: 0 at the upper edge, 100 at the lower one",
                unit="percent of the height that is left over",
                least=0,
                most=100,
                default=50,
            ),
            INTERPOLATION,
        ),
        move=_zoom,
        warp=_zoomed,
        exact=False,
        tolerance=TOLERANCE,
        neutral={"factor": 1.0},
        example={"factor": 1.6},
    ),
    GeometricOperation(
        name="shear",
        category="geometry",
        description="Makes the picture lean, about its middle.",
        parameters=(*_SHEARS, *_SAMPLING),
        move=_shear,
        warp=warp_matrix,
        exact=False,
        tolerance=TOLERANCE,
        neutral={"shear_x": 0.0, "shear_y": 0.0},
        example={"shear_x": 15.0},
    ),
    GeometricOperation(
        name="affine",
        category="geometry",
        description="Shears, scales and rotates about the middle, then shifts, in one step.",
        parameters=(
            Number(
                name="angle",
                description="how far it is rotated, counter-clockwise",
                unit="degrees",
                least=-360,
                most=360,
                default=0,
            ),
            Number(
                name="scale",
                description="by how much larger",
                unit="factor",
                least=0.05,
                most=20,
                default=1,
            ),
            *_SHEARS,
            *_SHIFTS,
            *_SAMPLING,
        ),
        move=_affine,
        warp=warp_matrix,
        exact=False,
        tolerance=TOLERANCE,
        neutral={"angle": 0.0, "scale": 1.0, "shear_x": 0.0, "shear_y": 0.0, "x": 0.0, "y": 0.0},
        example={"angle": 12.0, "scale": 0.9, "shear_x": 8.0, "x": 5.0},
    ),
)
