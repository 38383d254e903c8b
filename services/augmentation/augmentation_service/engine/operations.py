"""What an operation is: its name, its parameters, and the functions that do it.

There are two kinds. A `PixelOperation` changes values where they are and leaves labels alone. A
`GeometricOperation` first says where points go (a `Move`, made without pixels, so that sizes are
checked before memory is taken and labels can follow), and then moves the pixels there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from augmentation_service.engine.errors import TooLarge
from augmentation_service.engine.images import Image, size_of
from augmentation_service.engine.moves import Move
from augmentation_service.engine.parameters import Parameter, Value
from augmentation_service.engine.randomness import Stream

__all__ = ["GeometricOperation", "Operation", "Outcome", "PixelOperation"]

Category: TypeAlias = Literal["geometry", "colour", "noise", "blur"]


class Outcome(msgspec.Struct, frozen=True):
    """The picture after a step, and where its points went (None: nowhere)."""

    image: Image
    move: Move | None = None


class _Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What both kinds declare.

    `version` changes when the same parameters give other pixels. `exact`: made by integer
    arithmetic, the same on every machine; otherwise `tolerance` says how far machines differ.
    `neutral`: parameters with which the picture stays as it is, for tests.
    """

    name: str
    version: int = 1
    category: Category
    description: str
    parameters: tuple[Parameter, ...]
    exact: bool
    tolerance: str | None = None
    neutral: dict[str, Value] | None = None


class PixelOperation(_Declared, frozen=True, kw_only=True):
    """Values change, places do not.

    `function(image, stream, **parameters)` returns an image of the same shape.
    """

    function: Callable[..., Image]
    moves_labels = False

    def perform(
        self, image: Image, stream: Stream, values: Mapping[str, Any], max_pixels: int | None
    ) -> Outcome:
        """Do it; the image given is not changed. `max_pixels` is of no concern here."""
        del max_pixels
        return Outcome(self.function(image, stream, **values))


class GeometricOperation(_Declared, frozen=True, kw_only=True):
    """Places change.

    `move(size, stream, **parameters)` says where to, `warp(image, move, **parameters)` goes
    there. Both get all parameters.
    """

    move: Callable[..., Move]
    warp: Callable[..., Image]
    moves_labels = True

    def perform(
        self, image: Image, stream: Stream, values: Mapping[str, Any], max_pixels: int | None
    ) -> Outcome:
        """Do it; raises `TooLarge` when there would be more than `max_pixels`."""
        move = self.move(size_of(image), stream, **values)
        pixels = move.size[0] * move.size[1]
        if max_pixels is not None and pixels > max_pixels:
            raise TooLarge("pixels", max_pixels, pixels)
        return Outcome(self.warp(image, move, **values), move)


Operation: TypeAlias = PixelOperation | GeometricOperation
