"""Filters: what can be done to the pixels of a rendition, in one table and in its order.

A filter is one of three: a `curve` on levels, a `matrix` on colours, or a function on pixels.
Neighbouring curves become one lookup table and neighbouring matrices one matrix, so that any
number of them costs one pass. Alpha is left alone, but what blurs blurs it too (and colours
count by their alpha, so that what is invisible does not bleed).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from image_service.filters import colour, detail, tone
from image_service.kinds import (
    Choice,
    Colours,
    Flag,
    Integer,
    Kind,
    Number,
    Numbers,
    Switch,
    Value,
)

__all__ = ["FILTERS", "Filter", "applied"]


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """One filter; exactly one of `curve`, `matrix` and `pixels` is set.

    `identity`: the value that changes nothing (False always does); `coloured`: greys become
    colours; `spatial`: it looks at neighbours, so that alpha goes along.
    """

    name: str
    kind: Any
    aliases: tuple[str, ...] = ()
    identity: Value = None
    curve: Callable[[Any, Any], Any] | None = None
    matrix: Callable[[Any], Any] | None = None
    pixels: Callable[[Image.Image, Any], Image.Image] | None = None
    coloured: bool = False
    spatial: bool = False
    example: str = ""
    unit: str = ""

    @property
    def description(self) -> str:
        """What it does, from its function."""
        function = self.curve or self.matrix or self.pixels
        doc = (function.__doc__ or "") if function else ""
        first = doc.removesuffix(" `image`: RGB.").strip()
        return first.replace("`value` per cent", "so many per cent").replace("`value`", "so many")

    @property
    def way(self) -> str:
        """Which of the three it is."""
        return "curve" if self.curve else "matrix" if self.matrix else "pixels"


def _filter(name: str, kind: Kind, example: str, **more: Any) -> Filter:
    return Filter(name=name, kind=kind, example=example, **more)


#: In the order in which they are applied, whatever the order in which they are asked for:
#: levels, colours, then what looks at neighbours.
FILTERS: dict[str, Filter] = {
    filter_.name: filter_
    for filter_ in (
        _filter("autocontrast", Switch(0, 49, 0), "true", pixels=detail.autocontrast),
        _filter("equalize", Flag(), "true", pixels=detail.equalize),
        _filter("gamma", Number(0.1, 10), "2", curve=tone.gamma, identity=1.0),
        _filter("brightness", Number(-100, 100), "25", curve=tone.brightness, identity=0.0),
        _filter("contrast", Number(-100, 100), "60", curve=tone.contrast, identity=0.0),
        _filter("saturation", Number(-100, 400), "120", matrix=colour.saturation, identity=0.0),
        _filter("hue", Number(-360, 360), "120", matrix=colour.hue, identity=0.0, unit="degrees"),
        _filter(
            "grayscale", Flag(), "true", matrix=colour.grayscale, aliases=("greyscale", "grey")
        ),
        _filter(
            "sepia", Switch(0, 100, 100), "true", matrix=colour.sepia, identity=0.0, coloured=True
        ),
        _filter("tint", Colours(), "1e90ff", matrix=colour.tint, coloured=True),
        _filter("duotone", Colours(2), "1e1b4b,fde68a", pixels=colour.duotone, coloured=True),
        _filter("invert", Flag(), "true", curve=tone.invert, aliases=("negate",)),
        _filter("posterize", Integer(1, 8), "2", curve=tone.posterize, identity=8, unit="bits"),
        _filter("solarize", Switch(0, 255, 128), "true", curve=tone.solarize),
        _filter(
            "median",
            Choice(("1", "3", "5", "7", "9")),
            "7",
            pixels=detail.median,
            identity="1",
            spatial=True,
            unit="pixels",
        ),
        _filter(
            "blur",
            Number(0, 100),
            "4",
            pixels=detail.blur,
            identity=0.0,
            spatial=True,
            aliases=("gaussian",),
            unit="pixels",
        ),
        _filter(
            "box_blur",
            Number(0, 100),
            "6",
            pixels=detail.box_blur,
            identity=0.0,
            spatial=True,
            aliases=("box",),
            unit="pixels",
        ),
        _filter("sharpen", Switch(0, 10, 1), "3", pixels=detail.sharpen, identity=0.0),
        _filter(
            "unsharp",
            Numbers((1, 2, 3), 0, 1000, "radius[,per cent[,threshold]]", "4,200,2"),
            "4,200,2",
            pixels=detail.unsharp,
        ),
        _filter("emboss", Flag(), "true", pixels=detail.emboss),
        _filter("contour", Flag(), "true", pixels=detail.contour),
        _filter("edge", Flag(), "true", pixels=detail.edge, aliases=("edges",)),
        _filter(
            "pixelate",
            Integer(1, 512),
            "14",
            pixels=detail.pixelate,
            identity=1,
            spatial=True,
            unit="pixels",
        ),
    )
}


def applied(image: Image.Image, wanted: Sequence[tuple[str, Value]]) -> Image.Image:
    """Return the picture (L, LA, RGB or RGBA) with filters applied, in the order given."""
    steps = [(FILTERS[name], value) for name, value in wanted]
    for way, group in groupby(steps, key=lambda step: step[0].way):
        run = list(group)
        if any(filter_.coloured for filter_, _ in run) and image.mode in ("L", "LA"):
            image = image.convert("RGB" if image.mode == "L" else "RGBA")
        if way == "curve":
            image = _curved(image, run)
        elif way == "matrix":
            image = _mixed(image, run)
        else:
            for filter_, value in run:
                image = _filtered(image, filter_, value)
    return image


def _curved(image: Image.Image, run: list[tuple[Filter, Value]]) -> Image.Image:
    levels = np.linspace(0, 1, 256)
    for filter_, value in run:
        if filter_.curve is not None:
            levels = np.clip(filter_.curve(levels, value), 0, 1)
    table = [int(level) for level in np.rint(levels * 255)]
    return _on_colours(image, lambda colours: colours.point(table * len(colours.getbands())))


def _mixed(image: Image.Image, run: list[tuple[Filter, Value]]) -> Image.Image:
    if image.mode in ("L", "LA"):
        return image  # greys have no colours to mix (what makes some has made them RGB)
    whole = np.eye(4)
    for filter_, value in run:
        if filter_.matrix is not None:
            whole = np.vstack([filter_.matrix(value), [0, 0, 0, 1]]) @ whole
    rows = whole[:3] * np.array([1, 1, 1, 255])
    if np.ptp(rows, axis=0).max() < 1e-9:
        # All three bands are alike: one is enough, and half the work of all that follows.
        grey = tuple(float(cell) for cell in rows[0])
        return _on_colours(image, lambda colours: colours.convert("L", grey))
    cells = tuple(float(cell) for cell in rows.ravel())
    return _on_colours(image, lambda colours: colours.convert("RGB", cells))


def _on_colours(image: Image.Image, change: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Return the picture with its colours changed and its alpha as it was."""
    if image.mode not in ("LA", "RGBA"):
        return change(image)
    changed = change(image.convert("L" if image.mode == "LA" else "RGB"))
    changed.putalpha(image.getchannel("A"))
    return changed


def _filtered(image: Image.Image, filter_: Filter, value: Value) -> Image.Image:
    function = filter_.pixels
    if function is None:
        return image
    if not filter_.spatial or image.mode not in ("LA", "RGBA"):
        return _on_colours(image, lambda colours: function(colours, value))
    weighted = image.convert("RGBA").convert("RGBa")
    *colours, alpha = weighted.split()
    bands = (*function(Image.merge("RGB", colours), value).split(), function(alpha, value))
    return Image.merge("RGBa", bands).convert("RGBA").convert(image.mode)
