"""Pixels of one size from pixels of another: the costliest step of most renditions."""

from __future__ import annotations

from PIL import Image

from image_service.geometry import Box, Size

__all__ = ["resize"]


def resize(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Resample `box` of the picture to `size` (Lanczos, alpha-weighted colours).

    `image`: L, LA, RGB, RGBA, CMYK, LAB or YCbCr, 8 bits; `box`: pixels, fractions allowed.
    """
    if box == (0, 0, *image.size) and size == image.size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
