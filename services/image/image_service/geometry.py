"""Where the pixels go: how a source of one size fills a box of another, and EXIF orientation.

Pure arithmetic. Sizes are (width, height) in pixels; boxes are (left, top, right, bottom) in
pixels, fractions allowed. Nothing enlarges unless told to: a source smaller than the box asked
for is answered smaller, in the proportions asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import msgspec
from PIL.Image import Transpose

__all__ = [
    "FITS",
    "ORIENTATIONS",
    "Box",
    "Orientation",
    "Plan",
    "Size",
    "bounded",
    "plan",
    "ratio_box",
    "scaled",
    "tilted",
]

Size: TypeAlias = tuple[int, int]
Box: TypeAlias = tuple[float, float, float, float]


class Plan(msgspec.Struct, frozen=True):
    """What becomes of an upright source.

    `box` of it is resampled to `size`, which stands on `canvas` (the size of the answer; larger
    than `size` only where something pads).
    """

    box: Box
    size: Size
    canvas: Size


def _scaled(source: Size, numerator: int, denominator: int) -> Size:
    """`source` x numerator/denominator, rounded half up, in integers: no drift, never 0."""
    width, height = (
        max(1, (2 * side * numerator + denominator) // (2 * denominator)) for side in source
    )
    return width, height


def _whole(source: Size) -> Box:
    return 0, 0, source[0], source[1]


def _inside(source: Size, box: Size, enlarge: bool = False) -> Plan:
    """All of it, as large as the box allows."""
    (width, height), (box_width, box_height) = source, box
    wide = width * box_height >= height * box_width
    numerator, denominator = (box_width, width) if wide else (box_height, height)
    kept = numerator >= denominator and not enlarge
    size = source if kept else _scaled(source, numerator, denominator)
    return Plan(_whole(source), size, size)


def _outside(source: Size, box: Size, enlarge: bool = False) -> Plan:
    """All of it, as small as covers the box."""
    (width, height), (box_width, box_height) = source, box
    wide = width * box_height >= height * box_width
    numerator, denominator = (box_height, height) if wide else (box_width, width)
    kept = numerator >= denominator and not enlarge
    size = source if kept else _scaled(source, numerator, denominator)
    return Plan(_whole(source), size, size)


def _attainable(source: Size, box: Size, enlarge: bool) -> Size:
    """The box, or the largest of its proportions that needs no enlarging."""
    (width, height), (box_width, box_height) = source, box
    if enlarge or (box_width <= width and box_height <= height):
        return box
    if width * box_height <= height * box_width:
        return _scaled(box, width, box_width)
    return _scaled(box, height, box_height)


def _cover(source: Size, box: Size, enlarge: bool = False) -> Plan:
    """The middle of it (or what `gravity` says), in the box's proportions."""
    width, height = source
    size = _attainable(source, box, enlarge)
    scale = min(width / size[0], height / size[1])
    crop_width, crop_height = size[0] * scale, size[1] * scale
    left, top = (width - crop_width) / 2, (height - crop_height) / 2
    return Plan((left, top, left + crop_width, top + crop_height), size, size)


def _contain(source: Size, box: Size, enlarge: bool = False) -> Plan:
    """All of it, padded to exactly the box."""
    inside = _inside(source, box, enlarge)
    return Plan(inside.box, inside.size, box)


def _fill(source: Size, box: Size, enlarge: bool = False) -> Plan:
    """All of it, stretched to the box's proportions."""
    size = _attainable(source, box, enlarge)
    return Plan(_whole(source), size, size)


def _scale_down(source: Size, box: Size, enlarge: bool = False) -> Plan:
    """As `inside`, and never enlarged."""
    del enlarge
    return _inside(source, box)


#: The fits by name; the first line of each docstring describes it in the OpenAPI schema.
FITS: dict[str, Callable[[Size, Size, bool], Plan]] = {
    "inside": _inside,
    "outside": _outside,
    "cover": _cover,
    "contain": _contain,
    "fill": _fill,
    "scale-down": _scale_down,
}


def plan(
    source: Size, width: int | None, height: int | None, fit: str, *, enlarge: bool = False
) -> Plan:
    """Plan the rendition of an upright source; a side that is None follows from the other."""
    if width is None and height is None:
        return Plan(_whole(source), source, source)
    if width is None or height is None:
        # The missing side must not limit: 1 << 40 never does.
        free = source if not enlarge else (1 << 40, 1 << 40)
        return _inside(source, (width or free[0], height or free[1]), enlarge)
    return FITS[fit](source, (width, height), enlarge)


def scaled(size: Size, factor: float) -> Size:
    """Return the size times `factor`, rounded, never 0."""
    return max(1, int(size[0] * factor + 0.5)), max(1, int(size[1] * factor + 0.5))


def bounded(made: Plan, least: Size, most: Size, *, enlarge: bool) -> Plan:
    """Return the plan with its canvas, in its proportions, within bounds.

    `most` goes before `least`, and what would have to be made up before neither, unless
    `enlarge`.
    """
    width, height = made.canvas
    up = max(1.0, least[0] / width, least[1] / height)
    if not enlarge:
        left, top, right, bottom = made.box
        room = min((right - left) / made.size[0], (bottom - top) / made.size[1])
        up = min(up, max(1.0, room))
    factor = up * min(1.0, most[0] / (width * up), most[1] / (height * up))
    if factor == 1.0:
        return made
    size, canvas = (
        (min(side[0], most[0]), min(side[1], most[1]))
        for side in (scaled(made.size, factor), scaled(made.canvas, factor))
    )
    return Plan(made.box, size, canvas)


def ratio_box(source: Size, ratio: float, fit: str) -> Size:
    """Return the box of these proportions for a source: around it to `contain`, else in it."""
    width, height = source
    wider = width > height * ratio
    if wider == (fit == "contain"):
        return width, max(1, int(width / ratio + 0.5))
    return max(1, int(height * ratio + 0.5)), height


def tilted(size: Size, degrees: float) -> Size:
    """Return the size of the upright box around a rectangle that was turned."""
    cosine, sine = (abs(turn(math.radians(degrees))) for turn in (math.cos, math.sin))
    width, height = size
    return (
        max(1, math.ceil(width * cosine + height * sine - 1e-9)),
        max(1, math.ceil(width * sine + height * cosine - 1e-9)),
    )


class Orientation(msgspec.Struct, frozen=True, kw_only=True):
    """How stored pixels relate to the upright picture (EXIF 2.32, tag 0x0112).

    `transpose` makes stored pixels upright. Backwards: an upright point is swapped (x↔y) if
    `swapped`, then mirrored in the stored picture along x and y as `mirrored` says.
    """

    transpose: Transpose | None
    swapped: bool = False
    mirrored: tuple[bool, bool] = (False, False)

    def turned(self, size: Size) -> Size:
        """The size after (or before) turning: sides swapped where orientation swaps them."""
        return (size[1], size[0]) if self.swapped else size

    def stored(self, box: Box, stored_size: Size) -> Box:
        """Return the box in stored pixels that shows `box` of the upright picture."""
        left, top, right, bottom = box
        if self.swapped:
            left, top, right, bottom = top, left, bottom, right
        width, height = stored_size
        if self.mirrored[0]:
            left, right = width - right, width - left
        if self.mirrored[1]:
            top, bottom = height - bottom, height - top
        return left, top, right, bottom

    def shown(self, box: Box, stored_size: Size) -> Box:
        """Return where `box` of the stored pixels is in the upright picture."""
        left, top, right, bottom = box
        width, height = stored_size
        if self.mirrored[0]:
            left, right = width - right, width - left
        if self.mirrored[1]:
            top, bottom = height - bottom, height - top
        return (top, left, bottom, right) if self.swapped else (left, top, right, bottom)

    def then(self, other: Orientation) -> Orientation:
        """Return the one orientation that does this and then the other."""
        probe, size = (0.0, 0.0, 1.0, 2.0), (5, 7)
        wanted = other.shown(self.shown(probe, size), self.turned(size))
        return next(each for each in ORIENTATIONS.values() if each.shown(probe, size) == wanted)


#: By the value of the EXIF tag; any other value means 1.
ORIENTATIONS: dict[int, Orientation] = {
    1: Orientation(transpose=None),
    2: Orientation(transpose=Transpose.FLIP_LEFT_RIGHT, mirrored=(True, False)),
    3: Orientation(transpose=Transpose.ROTATE_180, mirrored=(True, True)),
    4: Orientation(transpose=Transpose.FLIP_TOP_BOTTOM, mirrored=(False, True)),
    5: Orientation(transpose=Transpose.TRANSPOSE, swapped=True),
    6: Orientation(transpose=Transpose.ROTATE_270, swapped=True, mirrored=(False, True)),
    7: Orientation(transpose=Transpose.TRANSVERSE, swapped=True, mirrored=(True, True)),
    8: Orientation(transpose=Transpose.ROTATE_90, swapped=True, mirrored=(True, False)),
}
