"""What a task is, what its units are called, and what became of each."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Literal, TypeAlias

import msgspec

from augmentation_service.datasets import Category
from augmentation_service.edits import Edit
from augmentation_service.engine import MovedLabels, Rules
from augmentation_service.variants import object_name

__all__ = ["Kind", "Outcome", "Result", "SentFile", "Task", "Unit"]

Kind: TypeAlias = Literal["augment", "batch", "scale"]
Outcome: TypeAlias = Literal["done", "failed"]
_UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)


class SentFile(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that came with a task: what it was called, its SHA-256, and its bytes."""

    name: str
    sha256: str
    size_bytes: int


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """One picture to make: the `variant`-th of the picture at `place`.

    `image_id` is None where the picture came with the task.
    """

    number: int
    place: int
    image_id: str | None
    variant: int
    variant_id: str
    object: str

    @property
    def labels_object(self) -> str:
        """The object that holds its labels, where they are too long for its result."""
        return f"{self.object}.labels"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; never changed after it was accepted.

    Its pictures are `images`, or `files` that came with it, or what a `query` finds: that is
    found later, and once. Pictures × `variants` are its units, counted picture by picture. Kind
    `augment` has a `recipe` (JSON; `recipe_name` if it was asked for by that), the others have
    `chains`: for each variant, the operations to do. `labelled`: an object has labels of every
    picture, of these `categories`; `rules` say which are kept.
    """

    task_id: str
    kind: Kind
    images: list[str] = []
    variants: int
    created_at: datetime
    format: str = "png"
    quality: int | None = None
    seed: int = 0
    recipe: Any = None
    recipe_name: str | None = None
    chains: list[list[Edit]] = []
    files: list[SentFile] = []
    query: dict[str, list[str]] | None = None
    labelled: bool = False
    categories: list[Category] = []
    rules: Rules = Rules()

    @property
    def pictures(self) -> int:
        """How many pictures it has; 0 until its query was resolved."""
        return len(self.files) or len(self.images)

    @property
    def total(self) -> int:
        """How many units it has; 0 until its query was resolved."""
        return self.pictures * self.variants

    @property
    def labels_object(self) -> str:
        """The object that holds the labels of all its pictures."""
        return object_name(self.task_id, "labels")

    def file_object(self, place: int) -> str:
        """Return the object that holds a picture that came with it."""
        return object_name(self.task_id, f"source-{place}")

    @property
    def objects(self) -> list[str]:
        """The objects that were kept with it, not those that were made."""
        kept = [self.file_object(place) for place in range(len(self.files))]
        return [*kept, self.labels_object] if self.labelled else kept

    def unit(self, number: int) -> Unit:
        """Return the unit of that number: the same one, whoever asks and when."""
        place, variant = divmod(number, self.variants)
        image_id, variant_id = (
            None if self.files else self.images[place],
            f"{self.task_id}-{number}",
        )
        return Unit(
            number=number,
            place=place,
            image_id=image_id,
            variant=variant,
            variant_id=variant_id,
            object=object_name(image_id or self.task_id, variant_id),
        )

    def others(self, unit: Unit, count: int) -> list[int]:
        """Return the places of pictures to mix in: the same ones, whoever asks and when.

        All of them, if there are no more than `count`.
        """
        every = self.pictures - 1
        chosen: list[int] = []
        draw = 0
        while len(chosen) < min(count, every):
            key = f"{self.seed}/{unit.place}/{unit.variant}/{draw}".encode()
            drawn = int.from_bytes(hashlib.sha256(key).digest()[:8], "big") % every
            place = (unit.place + 1 + drawn) % self.pictures
            if place not in chosen:
                chosen.append(place)
            draw += 1
        return chosen

    def called(self, place: int) -> str:
        """Return what a picture is called in data sets: its id, or its file's name, made safe."""
        if not self.files:
            return self.images[place]
        stem = PurePosixPath(self.files[place].name.replace("\\", "/")).stem
        return f"{place}-{_UNSAFE.sub('_', stem)[:100] or 'picture'}"

    def numbered(self, variant_id: str) -> int | None:
        """Return the number of the unit that a variant id is of, or None."""
        task_id, _, number = variant_id.rpartition("-")
        right = task_id == self.task_id and number.isascii() and number.isdecimal()
        # A number has one way to be written; long ones are nobody's.
        right = right and len(number) < 10 and str(int(number)) == number
        return int(number) if right and int(number) < self.total else None


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a unit: a picture, or a reason (`code`, `message`, `attempts`).

    `labels` are in `labels_object` where they are long.
    """

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
    labels: MovedLabels | None = None
    labels_object: str | None = None
    code: str | None = None
    message: str | None = None
    attempts: int = 1
