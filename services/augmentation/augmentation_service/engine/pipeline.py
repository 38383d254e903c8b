"""Carrying out a recipe on one picture."""

from __future__ import annotations

import msgspec

from augmentation_service.engine import images
from augmentation_service.engine.errors import TooLarge
from augmentation_service.engine.images import Image
from augmentation_service.engine.labels import Labels, MovedLabels
from augmentation_service.engine.operations import Outcome
from augmentation_service.engine.parameters import Value
from augmentation_service.engine.randomness import Randomness, Stream
from augmentation_service.engine.receipts import ENGINE, Receipt, StepTaken, fingerprint
from augmentation_service.engine.recipes import Recipe, Step, draw
from augmentation_service.engine.registry import REGISTRY
from augmentation_service.engine.tracking import Tracker

__all__ = ["Augmented", "apply"]


class Augmented(msgspec.Struct, frozen=True, kw_only=True):
    """A variant: its picture, its labels (None if there were none given), how it was made."""

    image: Image
    receipt: Receipt
    labels: MovedLabels | None = None


def apply(
    recipe: Recipe,
    image: Image,
    *,
    seed: int = 0,
    source: str = "",
    variant: int = 0,
    labels: Labels | None = None,
    max_pixels: int | None = None,
) -> Augmented:
    """Make one variant of a picture.

    `source` is the digest of the source: with the same seed, other pictures get other numbers.
    `image` (uint8 (H, W, C), sRGB) is not changed, and may be what is returned if nothing was
    done to it. Raises `BadImage`, `BadLabels`, and `TooLarge` when a step would make more than
    `max_pixels`.
    """
    image = images.check(image)
    randomness = Randomness(seed, source, variant)
    tracker = None if labels is None else Tracker(labels, images.size_of(image))
    taken: list[StepTaken] = []
    for step in recipe.steps:
        values = draw(step, randomness)
        taken.append(_taken(step, values))
        if values is not None:
            stream = randomness.stream(step.path, "pixels")
            outcome = _performed(step, values, image, stream, max_pixels)
            image = outcome.image
            if tracker is not None and outcome.move is not None:
                tracker.follow(outcome.move)
    width, height = images.size_of(image)
    receipt = Receipt(
        engine=ENGINE,
        seed=seed,
        source=source,
        variant=variant,
        steps=taken,
        width=width,
        height=height,
        channels=image.shape[2],
        platform=fingerprint(),
    )
    return Augmented(
        image=image, receipt=receipt, labels=None if tracker is None else tracker.labels()
    )


def _taken(step: Step, values: dict[str, Value] | None) -> StepTaken:
    return StepTaken(
        step=step.path,
        operation=step.operation,
        version=REGISTRY[step.operation].version,
        applied=values is not None,
        parameters=values or {},
    )


def _performed(
    step: Step,
    values: dict[str, Value],
    image: Image,
    stream: Stream,
    max_pixels: int | None,
) -> Outcome:
    try:
        return REGISTRY[step.operation].perform(image, stream, values, max_pixels)
    except TooLarge as error:
        path = f"recipe[{step.path}]"
        raise TooLarge(error.limit, error.allowed, error.actual, path) from error
