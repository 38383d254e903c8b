"""Non-maximum suppression: of boxes that say the same thing of the same place, the surest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["overlaps", "suppress"]

#: So many boxes, the surest, are looked at; the work grows with the square.
MOST = 1000


def suppress(
    corners: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.int64],
    most: float,
) -> NDArray[np.int64]:
    """Return the indices of the boxes that are kept, surest first (of equals, the first).

    Greedy and class by class: none that is kept overlaps a surer one of its own class by more
    than `most` (intersection over union, 0-1). `corners`: float32 (n, 4), left, top, right,
    bottom.
    """
    order = np.argsort(-scores, kind="stable")[:MOST]
    kept: list[int] = []
    while order.size:
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        same = classes[rest] == classes[best]
        over = overlaps(corners[best], corners[rest]) > most
        order = rest[~(same & over)]
    return np.asarray(kept, np.int64)


def overlaps(one: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the intersection over union of a box (4,) with each of others (n, 4)."""
    a, b = one.astype(np.float64), others.astype(np.float64)
    corner = np.maximum(a[:2], b[:, :2]), np.minimum(a[2:], b[:, 2:])
    shared = np.prod(np.clip(corner[1] - corner[0], 0, None), axis=1)
    area = np.prod(np.clip(a[2:] - a[:2], 0, None))
    areas = np.prod(np.clip(b[:, 2:] - b[:, :2], 0, None), axis=1)
    union = area + areas - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))
