"""All operations, by name. What is not in this table does not exist."""

from __future__ import annotations

from augmentation_service.engine.declarations import Operation
from augmentation_service.engine.operations import (
    augmix,
    blur,
    colour,
    degradation,
    enhancement,
    filters,
    geometry,
    levels,
    mixing,
    noise,
    occlusion,
    weather,
)

__all__ = ["REGISTRY"]

_MODULES = (
    geometry,
    colour,
    levels,
    enhancement,
    noise,
    blur,
    filters,
    occlusion,
    weather,
    degradation,
    mixing,
    augmix,
)

REGISTRY: dict[str, Operation] = {
    operation.name: operation for module in _MODULES for operation in module.OPERATIONS
}
