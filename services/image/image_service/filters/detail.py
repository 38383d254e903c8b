"""Filters that look at a pixel's neighbours, and at the histogram. Images: L or RGB, 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from image_service.filters import medians

__all__ = [
    "autocontrast",
    "blur",
    "box_blur",
    "contour",
    "edge",
    "emboss",
    "equalize",
    "median",
    "pixelate",
    "sharpen",
    "unsharp",
]


def autocontrast(image: Image.Image, value: Any) -> Image.Image:
    """Stretch the levels to black and white, `value` per cent of the pixels left out each side."""
    return ImageOps.autocontrast(image, cutoff=value, preserve_tone=True)


def equalize(image: Image.Image, _value: Any) -> Image.Image:
    """Make all levels of luma equally frequent; colours keep their chroma."""
    if image.mode == "L":
        return ImageOps.equalize(image)
    luma, blue, red = image.convert("YCbCr").split()
    return Image.merge("YCbCr", (ImageOps.equalize(luma), blue, red)).convert("RGB")


def blur(image: Image.Image, value: Any) -> Image.Image:
    """Gaussian blur, sigma in pixels."""
    return image.filter(ImageFilter.GaussianBlur(value))


def box_blur(image: Image.Image, value: Any) -> Image.Image:
    """The mean of all pixels within `value` pixels along each axis."""
    return image.filter(ImageFilter.BoxBlur(value))


def median(image: Image.Image, value: Any) -> Image.Image:
    """The median of a square of `value` pixels: specks go, edges stay."""
    values = np.asarray(image)
    found = medians.median(np.atleast_3d(values), int(value))
    return Image.fromarray(found.reshape(values.shape))


def sharpen(image: Image.Image, value: Any) -> Image.Image:
    """Sharpen fine detail (about one pixel) by `value`: 1 is what a small picture needs."""
    return image.filter(ImageFilter.UnsharpMask(radius=1.0, percent=round(100 * value)))


#: Radius, per cent, threshold where they are not given.
_UNSHARP = (2.0, 150.0, 3.0)


def unsharp(image: Image.Image, value: Any) -> Image.Image:
    """Unsharp mask: radius in pixels, strength in per cent, threshold in levels."""
    radius, percent, threshold = tuple(value) + _UNSHARP[len(value) :]
    return image.filter(ImageFilter.UnsharpMask(radius, round(percent), round(threshold)))


def emboss(image: Image.Image, _value: Any) -> Image.Image:
    """Light from the top left on a relief of grey."""
    return _convolved(image, ImageFilter.EMBOSS)


def contour(image: Image.Image, _value: Any) -> Image.Image:
    """Dark lines along the edges, on white."""
    return _convolved(image, ImageFilter.CONTOUR)


def edge(image: Image.Image, _value: Any) -> Image.Image:
    """Light lines along the edges, on black."""
    return _convolved(image, ImageFilter.FIND_EDGES)


def _convolved(image: Image.Image, kernel: type[ImageFilter.BuiltinFilter]) -> Image.Image:
    """Apply a kernel of 3 x 3 to all pixels: Pillow leaves the outermost as they were."""
    values = np.asarray(image)
    around = ((1, 1), (1, 1), (0, 0))[: values.ndim]
    padded = Image.fromarray(np.pad(values, around, mode="edge"))
    return padded.filter(kernel).crop((1, 1, image.width + 1, image.height + 1))


def pixelate(image: Image.Image, value: Any) -> Image.Image:
    """Squares of `value` pixels, each the mean of what it covers."""
    side = int(value)
    small = image.reduce(side)
    large = small.resize((small.width * side, small.height * side), Image.Resampling.NEAREST)
    return large.crop((0, 0, *image.size))
