"""All operations, by name. What is not in this table does not exist."""

from __future__ import annotations

from augmentation_service.engine.declarations import Operation
from augmentation_service.engine.operations import (
    augmix,
    balance,
    blur,
    channels,
    colour,
    degradation,
    edges,
    enhancement,
    filters,
    geometry,
    grain,
    grids,
    hues,
    impulses,
    lenses,
    levels,
    light,
    mixing,
    noise,
    occlusion,
    palette,
    superpixels,
    tones,
    weather,
)

__all__ = ["REGISTRY"]

_MODULES = (
    geometry,
    colour,
    tones,
    hues,
    channels,
    balance,
    levels,
    palette,
    enhancement,
    noise,
    impulses,
    grain,
    blur,
    lenses,
    filters,
    edges,
    occlusion,
    grids,
    weather,
    light,
    degradation,
    superpixels,
    mixing,
    augmix,
)

REGISTRY: dict[str, Operation] = {
    operation.name: operation for module in _MODULES for operation in module.OPERATIONS
}
