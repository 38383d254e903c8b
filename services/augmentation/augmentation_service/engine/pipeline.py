"""Carrying out a recipe on one picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from augmentation_service.engine import images
from augmentation_service.engine.declarations import (
    GeometricOperation,
    Operation,
    Outcome,
    Scene,
)
from augmentation_service.engine.errors import BadReceipt, TooFewPictures, TooLarge
from augmentation_service.engine.images import Image
from augmentation_service.engine.labels import Labels, MovedLabels
from augmentation_service.engine.labels.masks import Mask, check_masks, join_masks, move_masks
from augmentation_service.engine.labels.tracking import Tracker
from augmentation_service.engine.randomness import Randomness
from augmentation_service.engine.receipts import ENGINE, Receipt, StepTaken, fingerprint
from augmentation_service.engine.recipes import Drawn, Recipe
from augmentation_service.engine.registry import REGISTRY

__all__ = ["Augmented", "Scenery", "Source", "apply", "carried_out"]

_NO_BOXES = np.empty((0, 4))


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that mixing operations may use; `source` is its digest, as for `apply`.

    `masks` are as many as the first picture has.
    """

    image: Image
    source: str
    labels: Labels = Labels()
    masks: Sequence[Mask] = ()


class Augmented(msgspec.Struct, frozen=True, kw_only=True):
    """A variant: its picture, its labels (None if there were none given), how it was made."""

    image: Image
    receipt: Receipt
    labels: MovedLabels | None = None
    masks: tuple[Mask, ...] = ()


def apply(
    recipe: Recipe,
    image: Image,
    *,
    seed: int = 0,
    source: str = "",
    variant: int = 0,
    labels: Labels | None = None,
    masks: Sequence[Mask] = (),
    others: Sequence[Source] = (),
    max_pixels: int | None = None,
) -> Augmented:
    """Make one variant of a picture.

    `image`: uint8 or float32 (H, W, C), see `images`; it is not changed, and may be what is
    returned, or a part of it, if nothing else was done to it. `source` is the digest of the
    source: with the same seed, other pictures get other numbers. `masks`: uint8 or uint16 (H, W),
    moved along. `others` are for operations that mix several; from more than they need, they draw.

    Raises `BadImage`, `BadLabels`, `TooFewPictures`, and `TooLarge` when a step would make more
    than `max_pixels`.
    """
    randomness = Randomness(seed, source, variant)
    scenery = Scenery(labels=labels, masks=masks, others=others, max_pixels=max_pixels)
    return carried_out(recipe.drawn(randomness), image, randomness, scenery)


class Scenery(msgspec.Struct, frozen=True, kw_only=True):
    """What comes with a picture; see `apply`."""

    labels: Labels | None = None
    masks: Sequence[Mask] = ()
    others: Sequence[Source] = ()
    max_pixels: int | None = None


def carried_out(
    steps: Iterable[Drawn], image: Image, randomness: Randomness, scenery: Scenery
) -> Augmented:
    """Take steps whose parameters are drawn; raises what `apply` raises."""
    image = np.ascontiguousarray(images.check(image))
    worker = _Worker(randomness, image, scenery)
    for step in steps:
        worker.take(step)
    width, height = images.size_of(worker.image)
    receipt = Receipt(
        engine=ENGINE,
        seed=randomness.seed,
        source=randomness.source,
        variant=randomness.variant,
        steps=worker.taken,
        width=width,
        height=height,
        channels=worker.image.shape[2],
        platform=fingerprint(),
    )
    return Augmented(
        image=worker.image,
        receipt=receipt,
        labels=None if worker.tracker is None else worker.tracker.labels(),
        masks=worker.masks,
    )


class _Worker:
    """A picture, its labels and its masks, step after step."""

    def __init__(self, randomness: Randomness, image: Image, scenery: Scenery) -> None:
        size = images.size_of(image)
        self._randomness = randomness
        self._others = scenery.others
        self._max_pixels = scenery.max_pixels
        self.image = image
        self.tracker = None if scenery.labels is None else Tracker(scenery.labels, size)
        self.masks = check_masks(scenery.masks, size)
        self.taken: list[StepTaken] = []

    def take(self, step: Drawn) -> None:
        operation = REGISTRY[step.operation]
        chosen = self._chosen(step, operation.pictures - 1) if step.applied else []
        self.taken.append(
            StepTaken(
                step=step.path,
                operation=step.operation,
                version=operation.version,
                applied=step.applied,
                parameters=step.values,
                others=[self._others[place].source for place in chosen],
            )
        )
        if not step.applied:
            return
        outcome = self._outcome(step, operation, chosen)
        self._follow(step, operation, outcome, chosen)
        self.image = outcome.image

    def _chosen(self, step: Drawn, count: int) -> list[int]:
        """Return which of the other pictures a step uses."""
        if not count:
            return []
        if len(self._others) < count:
            raise TooFewPictures(count + 1, len(self._others) + 1, f"recipe[{step.path}]")
        if step.others:
            return [self._place_of(source) for source in step.others]
        stream = self._randomness.stream(step.path, "pictures")
        return stream.permutation(len(self._others))[:count]

    def _place_of(self, source: str) -> int:
        for place, other in enumerate(self._others):
            if other.source == source:
                return place
        raise BadReceipt(f"the picture {source}, which was mixed in, is not among the others")

    def _outcome(self, step: Drawn, operation: Operation, chosen: list[int]) -> Outcome:
        moves = isinstance(operation, GeometricOperation)
        scene = Scene(
            stream=self._randomness.stream(step.path, "pixels"),
            others=tuple(_alike(self._others[place].image, self.image) for place in chosen),
            boxes=self.tracker.boxes() if moves and self.tracker is not None else _NO_BOXES,
            max_pixels=self._max_pixels,
        )
        # Crops are views; what moves pixels takes them as they are.
        image = self.image if moves else np.ascontiguousarray(self.image)
        try:
            return operation.perform(image, step.values, scene)
        except TooLarge as error:
            path = f"recipe[{step.path}]"
            raise TooLarge(error.limit, error.allowed, error.actual, path) from error

    def _follow(
        self, step: Drawn, operation: Operation, outcome: Outcome, chosen: list[int]
    ) -> None:
        """Take labels and masks where the picture went."""
        if outcome.move is not None and isinstance(operation, GeometricOperation):
            self.masks = move_masks(self.masks, operation, outcome.move, step.values)
            if self.tracker is not None:
                self.tracker.follow(outcome.move)
        if outcome.covered is not None and self.tracker is not None:
            self.tracker.hide(outcome.covered)
        if outcome.placements is not None:
            others = [self._others[place] for place in chosen]
            masks = [self.masks, *(_masks_of(other) for other in others)]
            self.masks = join_masks(masks, outcome.placements)
            if self.tracker is not None:
                trackers = [
                    Tracker(other.labels, images.size_of(other.image), picture=place + 1)
                    for other, place in zip(others, chosen, strict=True)
                ]
                self.tracker.join(trackers, outcome.placements)


def _masks_of(other: Source) -> tuple[Mask, ...]:
    return check_masks(other.masks, images.size_of(other.image))


def _alike(other: Image, image: Image) -> Image:
    """Return another picture with the type and the number of channels of this one."""
    other = np.ascontiguousarray(images.check(other))
    if other.dtype != image.dtype:
        other = images.to_floats(other) if other.dtype == np.uint8 else images.to_levels(other)
    return images.as_channels(other, image.shape[2])
