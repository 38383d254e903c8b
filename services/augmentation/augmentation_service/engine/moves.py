"""Where a geometric operation takes the points of a picture: the seam between pixels and labels.

Coordinates are continuous and in pixels: (0, 0) is the upper left corner of the picture, (width,
height) the lower right one, and the pixel in column 3 reaches from x = 3 to x = 4. x grows to
the right, y downwards.
"""

from __future__ import annotations

from typing import ClassVar, Protocol, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.images import Size

__all__ = ["Affine", "Homography", "Move", "Points"]

#: float64 (N, 2): x and y.
Points: TypeAlias = NDArray[np.float64]


class Move(Protocol):
    """What a geometric operation does to points. It is known before any pixel is touched."""

    #: Straight lines stay straight; of others, outlines are followed in short pieces.
    straight: ClassVar[bool]

    @property
    def size(self) -> Size:
        """Width and height of the picture afterwards."""

    def points(self, points: Points) -> Points:
        """Return where the points of the picture before lie in the picture afterwards."""
        ...


class Affine(msgspec.Struct, frozen=True, kw_only=True):
    """x' = xx x + xy y + x0, y' = yx x + yy y + y0."""

    size: Size
    xx: float = 1.0
    xy: float = 0.0
    x0: float = 0.0
    yx: float = 0.0
    yy: float = 1.0
    y0: float = 0.0
    straight: ClassVar[bool] = True

    @classmethod
    def about_middle(
        cls, before: Size, after: Size, linear: tuple[tuple[float, float], tuple[float, float]]
    ) -> Affine:
        """Return the move by a 2 x 2 matrix that takes the middle of one canvas to the other's."""
        (xx, xy), (yx, yy) = linear
        return cls(
            size=after,
            xx=xx,
            xy=xy,
            x0=(after[0] - xx * before[0] - xy * before[1]) / 2,
            yx=yx,
            yy=yy,
            y0=(after[1] - yx * before[0] - yy * before[1]) / 2,
        )

    def points(self, points: Points) -> Points:
        """See `Move.points`."""
        linear = np.array([[self.xx, self.xy], [self.yx, self.yy]])
        moved: Points = points @ linear.T + (self.x0, self.y0)
        return moved

    @property
    def pixel_matrix(self) -> NDArray[np.float64]:
        """The 2 x 3 matrix between pixel indices, as OpenCV wants it.

        Index i is the middle of the pixel, x = i + 0.5.
        """
        x0 = self.x0 + 0.5 * (self.xx + self.xy - 1)
        y0 = self.y0 + 0.5 * (self.yx + self.yy - 1)
        return np.array([[self.xx, self.xy, x0], [self.yx, self.yy, y0]])

    @property
    def is_identity(self) -> bool:
        """Whether every point stays (the canvas may grow or shrink to the right and below)."""
        return (self.xx, self.xy, self.x0, self.yx, self.yy, self.y0) == (1, 0, 0, 0, 1, 0)


class Homography(msgspec.Struct, frozen=True, kw_only=True):
    """(x', y', 1) ~ `matrix` (x, y, 1): nine numbers, row by row."""

    size: Size
    matrix: tuple[float, ...]
    straight: ClassVar[bool] = True

    def points(self, points: Points) -> Points:
        """See `Move.points`."""
        matrix = np.array(self.matrix).reshape(3, 3)
        moved = np.column_stack([points, np.ones(len(points))]) @ matrix.T
        # Points at or behind the horizon lie infinitely far away; they are cut off.
        depth = np.maximum(moved[:, 2:], 1e-9)
        flat: Points = moved[:, :2] / depth
        return flat

    @property
    def pixel_matrix(self) -> NDArray[np.float64]:
        """The 3 x 3 matrix between pixel indices, as OpenCV wants it."""
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        back = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
        matrix: NDArray[np.float64] = back @ np.array(self.matrix).reshape(3, 3) @ half
        return matrix

    @property
    def is_identity(self) -> bool:
        """Whether every point stays."""
        return self.matrix == (1, 0, 0, 0, 1, 0, 0, 0, 1)
