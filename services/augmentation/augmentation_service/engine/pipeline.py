"""Carrying out a recipe on one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from augmentation_service.engine import images
from augmentation_service.engine.declarations import GeometricOperation, Outcome, Scene
from augmentation_service.engine.errors import TooFewPictures, TooLarge
from augmentation_service.engine.images import Image
from augmentation_service.engine.labels import Labels, MovedLabels
from augmentation_service.engine.randomness import Randomness
from augmentation_service.engine.receipts import ENGINE, Receipt, StepTaken, fingerprint
from augmentation_service.engine.recipes import Recipe, Step, draw
from augmentation_service.engine.registry import REGISTRY
from augmentation_service.engine.tracking import Tracker

__all__ = ["Augmented", "Source", "apply"]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that mixing operations may use; `source` is its digest, as for `apply`."""

    image: Image
    source: str
    labels: Labels = Labels()


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
    others: Sequence[Source] = (),
    max_pixels: int | None = None,
) -> Augmented:
    """Make one variant of a picture.

    `image`: uint8 or float32 (H, W, C), see `images`; it is not changed, and may be what is
    returned if nothing was done to it. `source` is the digest of the source: with the same seed,
    other pictures get other numbers. `others` are for operations that mix several; from more than
    they need, they draw. Raises `BadImage`, `BadLabels`, `TooFewPictures`, and `TooLarge` when a
    step would make more than `max_pixels`.
    """
    image = np.ascontiguousarray(images.check(image))
    randomness = Randomness(seed, source, variant)
    tracker = None if labels is None else Tracker(labels, images.size_of(image))
    worker = _Worker(randomness, tracker, others, max_pixels)
    for step in recipe.steps:
        image = worker.done(step, image)
    width, height = images.size_of(image)
    receipt = Receipt(
        engine=ENGINE,
        seed=seed,
        source=source,
        variant=variant,
        steps=worker.taken,
        width=width,
        height=height,
        channels=image.shape[2],
        platform=fingerprint(),
    )
    return Augmented(
        image=image, receipt=receipt, labels=None if tracker is None else tracker.labels()
    )


class _Worker:
    """Carries out steps, one after the other."""

    def __init__(
        self,
        randomness: Randomness,
        tracker: Tracker | None,
        others: Sequence[Source],
        max_pixels: int | None,
    ) -> None:
        self._randomness = randomness
        self._tracker = tracker
        self._others = others
        self._max_pixels = max_pixels
        self.taken: list[StepTaken] = []

    def done(self, step: Step, image: Image) -> Image:
        values = draw(step, self._randomness)
        operation = REGISTRY[step.operation]
        chosen = self._chosen(step, operation.pictures - 1) if values is not None else []
        self.taken.append(
            StepTaken(
                step=step.path,
                operation=step.operation,
                version=operation.version,
                applied=values is not None,
                parameters=values or {},
                others=[self._others[place].source for place in chosen],
            )
        )
        if values is None:
            return image
        outcome = self._outcome(step, values, image, chosen)
        if self._tracker is not None:
            self._follow(self._tracker, outcome, chosen)
        return outcome.image

    def _chosen(self, step: Step, count: int) -> list[int]:
        """Return which of the other pictures a step uses."""
        if not count:
            return []
        if len(self._others) < count:
            raise TooFewPictures(count + 1, len(self._others) + 1, f"recipe[{step.path}]")
        stream = self._randomness.stream(step.path, "pictures")
        return stream.permutation(len(self._others))[:count]

    def _outcome(
        self, step: Step, values: dict[str, Any], image: Image, chosen: list[int]
    ) -> Outcome:
        operation = REGISTRY[step.operation]
        scene = Scene(
            stream=self._randomness.stream(step.path, "pixels"),
            others=tuple(_alike(self._others[place].image, image) for place in chosen),
            max_pixels=self._max_pixels,
        )
        if isinstance(operation, GeometricOperation) and operation.sees_boxes and self._tracker:
            scene = msgspec.structs.replace(scene, boxes=self._tracker.boxes())
        try:
            return operation.perform(image, values, scene)
        except TooLarge as error:
            path = f"recipe[{step.path}]"
            raise TooLarge(error.limit, error.allowed, error.actual, path) from error

    def _follow(self, tracker: Tracker, outcome: Outcome, chosen: list[int]) -> None:
        if outcome.move is not None:
            tracker.follow(outcome.move)
        if outcome.covered is not None:
            tracker.hide(outcome.covered)
        if outcome.placements is not None:
            others = [
                Tracker(
                    self._others[place].labels,
                    images.size_of(self._others[place].image),
                    picture=place + 1,
                )
                for place in chosen
            ]
            tracker.join(others, outcome.placements)


def _alike(other: Image, image: Image) -> Image:
    """Return another picture with the type and the number of channels of this one."""
    other = np.ascontiguousarray(images.check(other))
    if other.dtype != image.dtype:
        other = images.to_floats(other) if other.dtype == np.uint8 else images.to_levels(other)
    return images.as_channels(other, image.shape[2])
