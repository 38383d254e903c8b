"""The augmentation engine: pictures and labels in, reproducible variants out.

::

    recipe = parse([{"operation": "rotate", "parameters": {"angle": {"min": -10, "max": 10}}}])
    variant = apply(recipe, image, seed=7, source="any text that names the picture")
    variant.image, variant.receipt

A library like any other: it knows of no service, no HTTP and no NATS.
"""

from __future__ import annotations

from augmentation_service.engine.declarations import Operation
from augmentation_service.engine.errors import (
    BadImage,
    BadLabels,
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
)
from augmentation_service.engine.pipeline import Augmented, Source, apply
from augmentation_service.engine.randomness import MAX_SEED
from augmentation_service.engine.receipts import ENGINE, Receipt, StepTaken, fingerprint, sealed
from augmentation_service.engine.recipes import Recipe, parse
from augmentation_service.engine.registry import REGISTRY

__all__ = [
    "ENGINE",
    "MAX_SEED",
    "REGISTRY",
    "Augmented",
    "BadImage",
    "BadLabels",
    "BadRecipe",
    "Box",
    "EngineError",
    "Fault",
    "Image",
    "Keypoint",
    "Labels",
    "MovedBox",
    "MovedKeypoint",
    "MovedLabels",
    "Operation",
    "Receipt",
    "Recipe",
    "Source",
    "StepTaken",
    "TooFewPictures",
    "TooLarge",
    "apply",
    "fingerprint",
    "parse",
    "pixel_digest",
    "sealed",
]
