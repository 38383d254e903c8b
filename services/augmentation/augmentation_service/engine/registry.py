"""All operations, by name. What is not in this table does not exist."""

from __future__ import annotations

from augmentation_service.engine import blur, colour, geometry, noise
from augmentation_service.engine.operations import Operation

__all__ = ["REGISTRY"]

REGISTRY: dict[str, Operation] = {
    operation.name: operation
    for module in (geometry, colour, noise, blur)
    for operation in module.OPERATIONS
}
