"""Ways to ask for a rendition by its recipe, and to look at what came of it."""

from __future__ import annotations

import itertools

import numpy as np
from image_service.parameters import Recipe
from image_service.renditions import render
from PIL import Image

from services.image.tests.samples import LIMITS, opened

#: How a small picture is written in every format that is accepted.
SOURCES = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "GIF": {},
    "BMP": {},
    "TIFF": {},
}


def recipe(**changes) -> Recipe:
    return Recipe(
        **{"width": None, "height": None, "fit": "inside", "format": "png", "quality": None}
        | changes
    )


def oriented(value: int) -> Image.Exif:
    """Made anew each time: Pillow's AVIF writer takes the tag out of what it is given."""
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def rendered(source: bytes, **changes) -> Image.Image:
    made = render(source, recipe(**changes), LIMITS)
    picture = opened(made.data)
    assert picture.size == (made.width, made.height)
    return picture


def corners(picture: Image.Image) -> list[tuple[int, ...]]:
    """The middles of the four quadrants."""
    rgb = picture.convert("RGB")
    return [
        rgb.getpixel((round(rgb.width * x), round(rgb.height * y)))
        for y, x in itertools.product((0.25, 0.75), repeat=2)
    ]


def alike(found, wanted, tolerance: int = 12) -> bool:
    return bool(np.abs(np.asarray(found, int) - np.asarray(wanted, int)).max() <= tolerance)


def photograph(width: int = 800, height: int = 600) -> Image.Image:
    """Smooth colours with edges in them, the same each time."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    bands = [
        127 + 90 * np.sin(x / 37) * np.cos(y / 53),
        127 + 90 * np.cos(x / 71 + y / 43),
        100 + 60 * np.sin((x + y) / 29) + 40 * (((x // 50) + (y // 40)) % 2),
    ]
    return Image.fromarray(np.clip(np.stack(bands, -1), 0, 255).astype(np.uint8))
