"""What files store, as what the engine works on: L, RGB or RGBA, 8 bits, sRGB."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms

from augmentation_service.engine import Image

__all__ = ["over_white", "to_srgb"]

#: Modes whose values are more than 8 bits; Pillow's own conversion would clip them.
_DEEP = {"I;16", "I;16L", "I;16B", "I;16N", "I", "F"}


def to_srgb(image: Pillow.Image, profile: bytes | None) -> Pillow.Image:
    """Return the picture as L, RGB or RGBA in sRGB; `profile` is its ICC profile, if it has one."""
    if image.mode in _DEEP:
        return _eight_bit(image)
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.has_transparency_data:
        with_alpha = _in_mode("RGBA", image)
        if not profile:
            return with_alpha
        colours = _in_srgb(with_alpha.convert("RGB"), profile)
        return Pillow.merge("RGBA", (*colours.split(), with_alpha.getchannel("A")))
    if image.mode in ("1", "L"):
        return _in_mode("L", _in_srgb(_in_mode("L", image), profile))
    if image.mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        return _transformed(image, lab)
    if image.mode not in ("RGB", "CMYK"):
        image = image.convert("RGB")
    return _in_mode("RGB", _in_srgb(image, profile))


def _in_mode(mode: str, image: Pillow.Image) -> Pillow.Image:
    """Convert, but do not copy what needs no conversion."""
    return image if image.mode == mode else image.convert(mode)


def _eight_bit(image: Pillow.Image) -> Pillow.Image:
    """Return a grey picture of 16 or 32 bits, or of floats, with 8."""
    values: NDArray[Any] = np.asarray(image)
    scaled = np.nan_to_num(values.astype(np.float32)) * (255 / _white(values, image.mode))
    grey = np.clip(scaled + 0.5, 0, 255).astype(np.uint8)
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return Pillow.fromarray(grey)
    # PNG's tRNS: one of the 65536 levels is the transparent one.
    alpha = np.where(values == key, 0, 255).astype(np.uint8)
    return Pillow.fromarray(np.dstack([grey, grey, grey, alpha]))


def _white(values: NDArray[Any], mode: str) -> float:
    """Return the value that is white: files of 32 bits and floats do not say."""
    if mode.startswith("I;16"):
        return 65_535.0
    highest = float(np.max(values, initial=0, where=np.isfinite(values)))
    customary = (255.0, 65_535.0) if mode == "I" else (1.0, 255.0, 65_535.0)
    return next((white for white in customary if highest <= white), highest)


def _in_srgb(image: Pillow.Image, profile: bytes | None) -> Pillow.Image:
    """Convert from `profile`; a broken one, or one of other colours, says nothing."""
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return image
        return _transformed(image, source)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image


def _transformed(image: Pillow.Image, source: ImageCms.ImageCmsProfile) -> Pillow.Image:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
    if converted is None:  # only with inPlace
        raise ValueError("nothing was converted")
    return converted


def over_white(image: Image) -> Image:
    """Return an RGBA image as it looks on white paper: uint8 (H, W, 3)."""
    picture = Pillow.fromarray(image)
    paper = Pillow.new("RGB", picture.size, (255, 255, 255))
    paper.paste(picture, mask=picture.getchannel("A"))
    return np.asarray(paper, dtype=np.uint8)
