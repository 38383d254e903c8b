"""Labels: what is where in a picture, as given and as moved along. Coordinates as in `moves`."""

from __future__ import annotations

from augmentation_service.engine.labels.given import (
    Box,
    Keypoint,
    Labels,
    Polygon,
    RotatedBox,
    Rules,
)
from augmentation_service.engine.labels.moved import (
    MovedBox,
    MovedKeypoint,
    MovedLabels,
    MovedPolygon,
    MovedRotatedBox,
)

__all__ = [
    "Box",
    "Keypoint",
    "Labels",
    "MovedBox",
    "MovedKeypoint",
    "MovedLabels",
    "MovedPolygon",
    "MovedRotatedBox",
    "Polygon",
    "RotatedBox",
    "Rules",
]
