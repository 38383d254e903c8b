"""Operations that move pixels, and labels with them."""

from __future__ import annotations

from augmentation_service.engine.declarations import Operation
from augmentation_service.engine.operations.geometry import (
    affine,
    bending,
    canvas,
    crops,
    perspective,
    rotation,
    turns,
)

__all__ = ["OPERATIONS"]

OPERATIONS: tuple[Operation, ...] = tuple(
    operation
    for module in (rotation, turns, affine, perspective, crops, canvas, bending)
    for operation in module.OPERATIONS
)
