"""Where a geometric operation takes the points of a picture: the seam between pixels and labels.

Coordinates are continuous and in pixels: (0, 0) is the upper left corner of the picture, (width,
height) the lower right one, and the pixel in column 3 reaches from x = 3 to x = 4. x grows to
the right, y downwards.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.images import Size

__all__ = ["Affine", "Move", "Points"]

#: float64 (N, 2): x and y.
Points: TypeAlias = NDArray[np.float64]


class Move(Protocol):
    """What a geometric operation does to points. It is known before any pixel is touched."""

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
