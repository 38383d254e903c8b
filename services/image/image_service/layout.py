"""From a recipe and the size of a source to where every pixel goes. Pure arithmetic.

The order of things: upright (EXIF), crop, trim, mirror, quarter turns, tilt, size, padding.
"""

from __future__ import annotations

import math

import msgspec
from imagesystem.errors import Rejected

from image_service import cropping, geometry
from image_service.cropping import Weighted
from image_service.formats import Format
from image_service.geometry import ORIENTATIONS, Box, Orientation, Plan, Size
from image_service.limits import Limits
from image_service.recipes import Area, Recipe, Subject

__all__ = ["Layout", "area_of", "check_output", "lay_out", "pixels_of"]

#: What turns a picture clockwise, by degrees, as EXIF would.
_TURNS = {0: 1, 90: 6, 180: 3, 270: 8}


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Where the pixels go.

    `orientation` turns stored pixels to the way they are shown, `area` is what is shown of
    them then (whole pixels); turned by `tilt` degrees, `plan` makes its size; the result stands
    `at` on `canvas`.
    """

    orientation: Orientation
    area: Box
    tilt: float
    plan: Plan
    canvas: Size
    at: tuple[int, int]


def pixels_of(area: Area, size: Size, parameter: str) -> Box:
    """Return a box as it was said in pixels of a picture of this size, rounded, cut to it.

    Raises `Rejected` 400 `outside_the_picture`, naming the parameter that said it.
    """
    unit, left, top, width, height = area
    across, down = size if unit == "share" else (1, 1)
    x, y = round(left * across), round(top * down)
    if unit == "share":
        x, y = min(x, size[0] - 1), min(y, size[1] - 1)
    right = min(size[0], max(x + 1, round((left + width) * across)))
    bottom = min(size[1], max(y + 1, round((top + height) * down)))
    if x >= size[0] or y >= size[1]:
        raise Rejected(
            400,
            "outside_the_picture",
            f"a box that begins at {x},{y} is outside of the picture",
            limit=parameter,
            allowed=f"within {size[0]} x {size[1]} pixels",
            actual=f"{x},{y}",
        )
    return x, y, right, bottom


def area_of(stored: Size, exif: Orientation, recipe: Recipe) -> Box:
    """Return what the recipe crops, in stored pixels."""
    base = exif if recipe.orient else ORIENTATIONS[1]
    upright = base.turned(stored)
    crop = (0, 0, *upright) if recipe.crop is None else pixels_of(recipe.crop, upright, "crop")
    return base.stored(crop, stored)


def lay_out(
    stored: Size,
    exif: Orientation,
    recipe: Recipe,
    area: Box,
    subjects: tuple[Subject, ...] = (),
) -> Layout:
    """Return the layout of a source whose `area` (stored pixels) is shown."""
    base = exif if recipe.orient else ORIENTATIONS[1]
    user = ORIENTATIONS[2 if recipe.flop else 1].then(ORIENTATIONS[_TURNS[recipe.turn]])
    total = base.then(user)
    shown = total.shown(area, stored)
    size = round(shown[2] - shown[0]), round(shown[3] - shown[1])
    turned = geometry.tilted(size, recipe.tilt) if recipe.tilt else size
    plan = _planned(turned, recipe)
    focus = recipe.focus
    if recipe.smart:
        places = [
            (
                _tilted(_shown(subject, stored, exif, total, shown), size, turned, recipe.tilt),
                subject.weight,
            )
            for subject in subjects
        ]
        focus = cropping.best(plan, turned, _inside(places, turned))
    plan = cropping.placed(plan, turned, focus)
    canvas, at = _on_canvas(plan, recipe)
    return Layout(orientation=total, area=shown, tilt=recipe.tilt, plan=plan, canvas=canvas, at=at)


def _planned(size: Size, recipe: Recipe) -> Plan:
    width, height = recipe.width, recipe.height
    if recipe.aspect_ratio is not None:
        box = geometry.ratio_box(size, recipe.aspect_ratio, recipe.fit)
        width, height = geometry.scaled(box, recipe.zoom)
    elif width is None and height is None and recipe.zoom != 1.0:
        width, height = geometry.scaled(size, recipe.zoom)
    plan = geometry.plan(size, width, height, recipe.fit, enlarge=recipe.enlarge)
    return geometry.bounded(plan, recipe.least, recipe.most, enlarge=recipe.enlarge)


def _shown(subject: Subject, stored: Size, exif: Orientation, total: Orientation, area: Box) -> Box:
    """Return where a subject (shares of the upright original) is in the area that is shown."""
    width, height = exif.turned(stored)
    upright = (
        subject.left * width,
        subject.top * height,
        (subject.left + subject.width) * width,
        (subject.top + subject.height) * height,
    )
    box = total.shown(exif.stored(upright, stored), stored)
    return box[0] - area[0], box[1] - area[1], box[2] - area[0], box[3] - area[1]


def _tilted(box: Box, size: Size, turned: Size, degrees: float) -> Box:
    """Return the upright box around a box of a picture that was turned clockwise."""
    if not degrees:
        return box
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = [
        (x - size[0] / 2, y - size[1] / 2) for x in (box[0], box[2]) for y in (box[1], box[3])
    ]
    across = [x * cosine - y * sine + turned[0] / 2 for x, y in corners]
    down = [x * sine + y * cosine + turned[1] / 2 for x, y in corners]
    return min(across), min(down), max(across), max(down)


def _inside(places: list[Weighted], size: Size) -> list[Weighted]:
    """Leave out what a crop has cut away."""
    return [
        (box, weight)
        for box, weight in places
        if box[2] >= 0 and box[3] >= 0 and box[0] <= size[0] and box[1] <= size[1]
    ]


def _on_canvas(plan: Plan, recipe: Recipe) -> tuple[Size, tuple[int, int]]:
    """Return the size of the answer and where the picture stands on it."""
    width, height = plan.canvas
    if recipe.extend:
        width, height = max(width, recipe.width or 0), max(height, recipe.height or 0)
    top, right, bottom, left = recipe.padding
    x = left + round((width - plan.size[0]) * recipe.focus[0])
    y = top + round((height - plan.size[1]) * recipe.focus[1])
    return (width + left + right, height + top + bottom), (x, y)


def check_output(size: Size, format_: Format, limits: Limits, frames: int = 1) -> None:
    """Raise `Rejected` 400 `output_too_large` for what is too large to encode."""
    pixels = size[0] * size[1] * frames
    if pixels > limits.max_output_pixels:
        many = f" in {frames} frames" if frames > 1 else ""
        raise Rejected(
            400,
            "output_too_large",
            f"{size[0]} x {size[1]} pixels{many} are too many for a rendition: "
            "ask for a smaller width or height",
            limit="MAX_OUTPUT_PIXELS",
            allowed=limits.max_output_pixels,
            actual=pixels,
        )
    if max(size) > format_.max_side:
        raise Rejected(
            400,
            "output_too_large",
            f"{format_.name} cannot hold {size[0]} x {size[1]} pixels",
            limit="side",
            allowed=format_.max_side,
            actual=max(size),
        )
