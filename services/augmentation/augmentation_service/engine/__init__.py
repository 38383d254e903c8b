"""The augmentation engine: pictures and labels in, reproducible variants out.

::

    recipe = parse([{"operation": "rotate", "parameters": {"angle": {"min": -10, "max": 10}}}])
    variant = apply(recipe, image, seed=7, source="any text that names the picture")
    variant.image, variant.receipt

A library like any other: it knows of no service, no HTTP and no NATS.
"""

from __future__ import annotations

from augmentation_service.engine.aliases import ALIASES, Alias
from augmentation_service.engine.declarations import Operation
from augmentation_service.engine.errors import (
    BadImage,
    BadLabels,
    BadReceipt,
    BadRecipe,
    EngineError,
    Fault,
    TooFewPictures,
    TooLarge,
)
from augmentation_service.engine.images import Image, pixel_digest
from augmentation_service.engine.labels import (
    Box,
    Keypoint,
    Labels,
    MovedBox,
    MovedKeypoint,
    MovedLabels,
    MovedPolygon,
    MovedRotatedBox,
    Polygon,
    RotatedBox,
    Rules,
)
from augmentation_service.engine.labels.formats import BoxFormat, boxes_from, row_of
from augmentation_service.engine.labels.masks import Mask
from augmentation_service.engine.pipeline import Augmented, Source, apply
from augmentation_service.engine.policies import POLICIES, Policy
from augmentation_service.engine.randomness import MAX_SEED
from augmentation_service.engine.reading import parse
from augmentation_service.engine.receipts import ENGINE, Receipt, StepTaken, fingerprint, sealed
from augmentation_service.engine.recipes import Recipe
from augmentation_service.engine.registry import REGISTRY
from augmentation_service.engine.replay import Difference, Replayed, replay

__all__ = [
    "ALIASES",
    "ENGINE",
    "MAX_SEED",
    "POLICIES",
    "REGISTRY",
    "Alias",
    "Augmented",
    "BadImage",
    "BadLabels",
    "BadReceipt",
    "BadRecipe",
    "Box",
    "BoxFormat",
    "Difference",
    "EngineError",
    "Fault",
    "Image",
    "Keypoint",
    "Labels",
    "Mask",
    "MovedBox",
    "MovedKeypoint",
    "MovedLabels",
    "MovedPolygon",
    "MovedRotatedBox",
    "Operation",
    "Policy",
    "Polygon",
    "Receipt",
    "Recipe",
    "Replayed",
    "RotatedBox",
    "Rules",
    "Source",
    "StepTaken",
    "TooFewPictures",
    "TooLarge",
    "apply",
    "boxes_from",
    "fingerprint",
    "parse",
    "pixel_digest",
    "replay",
    "row_of",
    "sealed",
]
