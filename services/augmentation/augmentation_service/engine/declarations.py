"""What an operation is: a row with its name, its parameters, and the functions that do it.

There are four kinds.

=====================  ==========================================================  ==============
kind                   what it does                                                labels
=====================  ==========================================================  ==============
`PixelOperation`       changes values where they are                               stay
`GeometricOperation`   moves pixels: first says where points go, then warps        are moved
`CoveringOperation`    hides parts: first says which, then paints over them        may be hidden
`MixingOperation`      makes one picture of several: first says where each lies    are joined
=====================  ==========================================================  ==============

What is "first said" is made without pixels, so that sizes are checked before memory is taken and
labels can follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine import alpha, images
from augmentation_service.engine.errors import TooLarge
from augmentation_service.engine.images import Image, size_of
from augmentation_service.engine.moves import Move
from augmentation_service.engine.parameters import Parameter, Value
from augmentation_service.engine.randomness import Stream

__all__ = [
    "Category",
    "Cost",
    "CoveringOperation",
    "Effects",
    "GeometricOperation",
    "MixingOperation",
    "Operation",
    "Outcome",
    "PixelOperation",
    "Placement",
    "Rectangles",
    "Scene",
]

Category: TypeAlias = Literal[
    "geometry",
    "colour",
    "noise",
    "blur",
    "filters",
    "occlusion",
    "weather",
    "degradation",
    "mixing",
]
#: On 512 x 512 RGB, one core: low below 1 ms, medium below 10 ms, high above.
Cost: TypeAlias = Literal["low", "medium", "high"]
#: int64 (N, 4): x_min, y_min, x_max, y_max in whole pixels, the maximum not included.
Rectangles: TypeAlias = NDArray[np.int64]


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of labels, in words."""

    boxes: str
    keypoints: str
    masks: str


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where one of several pictures lies in the result.

    `move` takes its points there; `region` is what of the canvas shows it: (x_min, y_min, x_max,
    y_max) in pixels. Later pictures hide earlier ones in their region if their `weight`, the
    share of them in the values, is 1.
    """

    move: Move
    region: tuple[float, float, float, float]
    weight: float = 1.0


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What a step has besides its picture and its parameters.

    `others`: the pictures that a mixing operation needs beyond the first, of the first's type and
    channels. `boxes`: float64 (N, 4), the boxes as they are now. `max_pixels`: of any result.
    """

    stream: Stream
    others: tuple[Image, ...] = ()
    boxes: NDArray[np.float64] = np.empty((0, 4))
    max_pixels: int | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The picture after a step, and what labels must know: at most one of the others is there.

    `move`: where points went; `covered`: what is hidden now; `placements`: one per picture.
    """

    image: Image
    move: Move | None = None
    covered: Rectangles | None = None
    placements: tuple[Placement, ...] | None = None


class _Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What all kinds declare.

    `version` changes when the same parameters give other pixels. `exact`: made by integer
    arithmetic, the same on every machine (for uint8 pictures); otherwise `tolerance` says how far
    machines differ. `neutral`: parameters with which the picture stays as it is, for tests.
    `eight_bits`: defined on 256 levels; float32 pictures are rounded to them and converted back.
    `example`: parameters that show what it does, for galleries, references and benchmarks.
    """

    name: str
    version: int = 1
    category: Category
    description: str
    parameters: tuple[Parameter, ...]
    exact: bool
    tolerance: str | None = None
    neutral: dict[str, Value] | None = None
    example: dict[str, Value] = {}
    cost: Cost = "low"
    eight_bits: bool = False
    #: How many pictures it needs, with the first.
    pictures: int = 1


class PixelOperation(_Declared, frozen=True, kw_only=True):
    """Values change, places do not.

    `function(image, stream, **parameters)` returns an image of the same shape and type. Of RGBA
    pictures it is given the colours, and opacity stays, unless it `sees_opacity`. Grey pictures
    stay as they are if it `needs_colour`. One that looks at other `pictures` also gets them, of
    any sizes, as `others`.
    """

    function: Callable[..., Image]
    sees_opacity: bool = False
    needs_colour: bool = False
    moves_labels: ClassVar[bool] = False
    effects: ClassVar[Effects] = Effects(boxes="kept", keypoints="kept", masks="kept")

    def perform(self, image: Image, values: Mapping[str, Any], scene: Scene) -> Outcome:
        """Do it; the image given is not changed."""
        if self.needs_colour and image.shape[2] == 1:
            return Outcome(image=image)
        if self.pictures > 1:
            values = {**values, "others": tuple(map(self._seen, scene.others))}
        if self.eight_bits and image.dtype != np.uint8:
            levels = self._done(images.to_levels(image), values, scene.stream)
            return Outcome(image=images.to_floats(levels))
        return Outcome(image=self._done(image, values, scene.stream))

    def _seen(self, other: Image) -> Image:
        levels = self.eight_bits and other.dtype != np.uint8
        return images.to_levels(other) if levels else other

    def _done(self, image: Image, values: Mapping[str, Any], stream: Stream) -> Image:
        if image.shape[2] < 4 or self.sees_opacity:
            return self.function(image, stream, **values)
        colours = self.function(alpha.colours_of(image), stream, **values)
        return alpha.with_colours(image, colours)


class GeometricOperation(_Declared, frozen=True, kw_only=True):
    """Places change.

    `move(size, stream, **parameters)` says where to, `warp(image, move, **parameters)` goes
    there. Both get all parameters. One that `sees_boxes` also gets `boxes` for its move.
    """

    move: Callable[..., Move]
    warp: Callable[..., Image]
    sees_boxes: bool = False
    moves_labels: ClassVar[bool] = True
    effects: ClassVar[Effects] = Effects(boxes="moved", keypoints="moved", masks="moved")

    def perform(self, image: Image, values: Mapping[str, Any], scene: Scene) -> Outcome:
        """Do it; raises `TooLarge` when there would be more than `max_pixels`."""
        more = {"boxes": scene.boxes} if self.sees_boxes else {}
        move = self.move(size_of(image), scene.stream, **values, **more)
        _check_size(move, scene.max_pixels)
        return Outcome(image=self.warp(image, move, **values), move=move)


class CoveringOperation(_Declared, frozen=True, kw_only=True):
    """Parts are hidden.

    `region(size, stream, **parameters)` says which rectangles, inside the picture;
    `cover(image, rectangles, stream, **parameters)` paints over them. It sees opacity: RGBA
    pictures come as they are.
    """

    region: Callable[..., Rectangles]
    cover: Callable[..., Image]
    moves_labels: ClassVar[bool] = False
    effects: ClassVar[Effects] = Effects(
        boxes="lose the visibility of what is hidden", keypoints="hidden ones lose it", masks="kept"
    )

    def perform(self, image: Image, values: Mapping[str, Any], scene: Scene) -> Outcome:
        """Do it; the image given is not changed."""
        covered = self.region(size_of(image), scene.stream, **values)
        if self.eight_bits and image.dtype != np.uint8:
            levels = self.cover(images.to_levels(image), covered, scene.stream, **values)
            return Outcome(image=images.to_floats(levels), covered=covered)
        return Outcome(image=self.cover(image, covered, scene.stream, **values), covered=covered)


class MixingOperation(_Declared, frozen=True, kw_only=True):
    """Several pictures become one; `pictures` says how many it needs.

    `place(sizes, stream, **parameters)` says where each lies, all on one canvas (their moves have
    one size); `mix(images, placements, stream, **parameters)` puts them there. The pictures have
    the same type and number of channels, and any sizes.
    """

    place: Callable[..., tuple[Placement, ...]]
    mix: Callable[..., Image]
    moves_labels: ClassVar[bool] = True
    effects: ClassVar[Effects] = Effects(boxes="joined", keypoints="joined", masks="joined")

    def perform(self, image: Image, values: Mapping[str, Any], scene: Scene) -> Outcome:
        """Do it; raises `TooLarge` when there would be more than `max_pixels`."""
        several = (image, *scene.others)
        placements = self.place([size_of(one) for one in several], scene.stream, **values)
        _check_size(placements[0].move, scene.max_pixels)
        mixed = self.mix(several, placements, scene.stream, **values)
        return Outcome(image=mixed, placements=placements)


Operation: TypeAlias = PixelOperation | GeometricOperation | CoveringOperation | MixingOperation


def _check_size(move: Move, max_pixels: int | None) -> None:
    pixels = move.size[0] * move.size[1]
    if max_pixels is not None and pixels > max_pixels:
        raise TooLarge("pixels", max_pixels, pixels)
