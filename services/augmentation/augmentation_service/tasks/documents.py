"""What a task is, what its units are called, and what became of each."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from augmentation_service.edits import Edit
from augmentation_service.variants import object_name

__all__ = ["Kind", "Outcome", "Result", "Task", "Unit"]

Kind: TypeAlias = Literal["augment", "batch", "scale"]
Outcome: TypeAlias = Literal["done", "failed"]


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """One picture to make: the `variant`-th of an image.

    `image_id` is None where the picture came with the task.
    """

    number: int
    image_id: str | None
    variant: int
    variant_id: str
    object: str


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; never changed after it was accepted.

    `images` × `variants` are its units, counted image by image. Kind `augment` has a `recipe`
    (JSON, as it was given), the others have `chains`: for each variant, the operations to do.
    `uploaded`: SHA-256 of the picture that came with it, which is kept as `source`.
    """

    task_id: str
    kind: Kind
    images: list[str]
    variants: int
    created_at: datetime
    format: str = "png"
    quality: int | None = None
    seed: int = 0
    recipe: Any = None
    chains: list[list[Edit]] = []
    uploaded: str | None = None

    @property
    def total(self) -> int:
        """How many units it has."""
        return len(self.images) * self.variants

    @property
    def source(self) -> str:
        """The object that holds the picture that came with it."""
        return object_name(self.task_id, "source")

    def unit(self, number: int) -> Unit:
        """Return the unit of that number: the same one, whoever asks and when."""
        place, variant = divmod(number, self.variants)
        image_id, variant_id = self.images[place], f"{self.task_id}-{number}"
        return Unit(
            number=number,
            image_id=None if self.uploaded else image_id,
            variant=variant,
            variant_id=variant_id,
            object=object_name(image_id, variant_id),
        )

    def numbered(self, variant_id: str) -> int | None:
        """Return the number of the unit that a variant id is of, or None."""
        task_id, _, number = variant_id.rpartition("-")
        right = task_id == self.task_id and number.isascii() and number.isdecimal()
        # A number has one way to be written; long ones are nobody's.
        right = right and len(number) < 10 and str(int(number)) == number
        return int(number) if right and int(number) < self.total else None


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a unit: a picture, or a reason (`code`, `message`, `attempts`)."""

    number: int
    variant_id: str
    image_id: str | None
    variant: int
    outcome: Outcome
    finished_at: datetime
    object: str | None = None
    media_type: str | None = None
    width: int | None = None
    height: int | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    code: str | None = None
    message: str | None = None
    attempts: int = 1
