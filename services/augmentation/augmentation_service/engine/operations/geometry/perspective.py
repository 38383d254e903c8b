"""Operations that look at the picture from the side: perspective."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.declarations import GeometricOperation
from augmentation_service.engine.images import Size
from augmentation_service.engine.moves import Homography
from augmentation_service.engine.operations.geometry.affine import TOLERANCE
from augmentation_service.engine.parameters import Number
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.warping import BORDER, FILL, INTERPOLATION, warp_matrix

__all__ = ["OPERATIONS"]

#: From 25 on, one corner could lie inside the triangle of the others: no picture of a plane.
_MOST = 24
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def _tilt(size: Size, stream: Stream, *, strength: float, **_: object) -> Homography:
    """Move each corner by up to `strength` percent of the sides, inwards or outwards."""
    if not strength:
        return Homography(size=size, matrix=_IDENTITY)
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float64) * size
    offsets = (stream.units(8).reshape(4, 2) * 2 - 1) * (strength / 100) * size
    return Homography(size=size, matrix=_between(corners, corners + offsets))


def _between(before: NDArray[np.float64], after: NDArray[np.float64]) -> tuple[float, ...]:
    """Return the homography that takes four points to four others (Heckbert, 1989)."""
    rows, values = [], []
    for (x, y), (u, v) in zip(before, after, strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
        values += [u, v]
    return (*(float(value) for value in np.linalg.solve(np.array(rows), np.array(values))), 1.0)


OPERATIONS = (
    GeometricOperation(
        name="perspective",
        category="geometry",
        description="Moves each corner of the picture by itself, as if seen from the side.",
        parameters=(
            Number(
                name="strength",
                description="how far corners move, at most, each in a random direction",
                unit="percent of the sides",
                least=0,
                most=_MOST,
            ),
            INTERPOLATION,
            BORDER,
            FILL,
        ),
        move=_tilt,
        warp=warp_matrix,
        exact=False,
        tolerance=TOLERANCE,
        neutral={"strength": 0.0},
        example={"strength": 12.0},
        cost="medium",
    ),
)
