"""What sources store and what renditions need: modes, alpha, depth, colour profiles.

Two steps around the resampling: `resamplable` makes numbers that may be averaged (no palette
indices, no more than 8 bits), `to_srgb` makes L, LA, RGB or RGBA in sRGB of what came out.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

__all__ = [
    "flattened",
    "keeps",
    "resamplable",
    "to_srgb",
    "with_hard_edges",
    "without_needless_alpha",
]

Values: TypeAlias = NDArray[Any]
WHITE = (255, 255, 255)


def resamplable(image: Image.Image) -> Image.Image:
    """Return the picture in a mode that can be resampled: L, LA, RGB, RGBA, CMYK, LAB, YCbCr."""
    if image.mode in _DEEP:
        return _eight_bit(image)
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode in ("1", "L", "RGB") and "transparency" in image.info:
        return image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    return image.convert(_PLAIN[image.mode]) if image.mode in _PLAIN else image


#: Modes that convert to what they mean.
_PLAIN: dict[str, str] = {"1": "L", "RGBX": "RGB", "RGBa": "RGBA", "La": "LA"}


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return a grey picture of 16 bits, 32 bits or floats with 8 (Pillow's convert clips)."""
    values = np.asarray(image)
    highest = _DEEP[image.mode](values)
    scaled = np.clip(values.astype(np.float32) * (255.0 / highest) + 0.5, 0, 255)
    # A float picture may hold NaN, which has no place among the greys.
    grey = Image.fromarray(np.nan_to_num(scaled).astype(np.uint8))
    key = image.info.get("transparency")
    if isinstance(key, int):
        # PNG's tRNS: one grey level of the 16 bits is the one that is transparent.
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return grey


def _white_of_integers(values: Values) -> float:
    """White of 32-bit integers: that of the fewest bits that hold all values."""
    highest = int(values.max(initial=0))
    return 255.0 if highest <= 255 else 65_535.0 if highest <= 65_535 else float(highest)


def _white_of_floats(values: Values) -> float:
    """White of floats: 1.0 where they keep to it, else the highest."""
    return max(1.0, float(np.max(values, initial=0.0, where=np.isfinite(values))))


#: The modes with more than 8 bits, and the value that is white in them.
_DEEP: dict[str, Callable[[Values], float]] = {
    "I;16": lambda _values: 65_535.0,
    "I;16L": lambda _values: 65_535.0,
    "I;16B": lambda _values: 65_535.0,
    "I;16N": lambda _values: 65_535.0,
    "I": _white_of_integers,
    "F": _white_of_floats,
}


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the picture as L, LA, RGB or RGBA in sRGB; `profile` is the source's ICC profile."""
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    colours = image
    if alpha is not None:
        colours = image.convert("L" if image.mode == "LA" else "RGB")
    grey = colours.mode == "L"
    if image.mode == "LAB":
        colours = _transformed(colours, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    elif profile:
        colours = _profiled(colours, profile)
    if colours.mode not in ("L", "RGB"):
        colours = colours.convert("RGB")
    if grey and colours.mode == "RGB":
        colours = colours.convert("L")
    if alpha is None:
        return colours
    bands = (*colours.split(), alpha)
    return Image.merge("LA" if grey else "RGBA", bands)


def _profiled(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert from `profile` to sRGB; a broken profile, or one of other colours, says nothing."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return image
        return _transformed(image, source)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image


def _transformed(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
    if converted is None:  # only with inPlace
        raise ValueError("nothing was converted")
    return converted


def without_needless_alpha(image: Image.Image) -> Image.Image:
    """Return the picture without its alpha channel if every pixel is opaque."""
    if image.mode in ("LA", "RGBA") and image.getchannel("A").getextrema() == (255, 255):
        return image.convert("L" if image.mode == "LA" else "RGB")
    return image


def flattened(image: Image.Image, background: tuple[int, int, int] = WHITE) -> Image.Image:
    """Return the picture over a colour, without alpha (L or RGB)."""
    if image.mode not in ("LA", "RGBA"):
        return image
    grey = image.mode == "LA" and len(set(background)) == 1
    mode = "L" if grey else "RGB"
    base = Image.new(mode, image.size, background[0] if grey else background)
    base.paste(image.convert(mode), mask=image.getchannel("A"))
    return base


def keeps(image: Image.Image, profile: bytes) -> bool:
    """Say whether a colour profile is one of the picture's colours (ICC.1, byte 16)."""
    kinds = {b"GRAY": ("L", "LA"), b"RGB ": ("RGB", "RGBA")}
    return image.mode in kinds.get(profile[16:20], ())


def with_hard_edges(image: Image.Image) -> Image.Image:
    """Return the picture with every pixel wholly transparent or wholly opaque."""
    if image.mode not in ("LA", "RGBA"):
        return image
    hard = image.copy()
    hard.putalpha(image.getchannel("A").point([0] * 128 + [255] * 128))
    return hard
