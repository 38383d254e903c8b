"""Pixels of one size from pixels of another: the costliest step of most renditions.

Lanczos, by a SIMD implementation where there is one for the machine (five times as fast, equal
to within a rounding), else by Pillow.
"""

from __future__ import annotations

import math

from PIL import Image

from image_service.geometry import Box, Size

try:
    import cykooz_resizer as simd
except ImportError:  # no wheel: Linux on ARM, musl
    simd = None

__all__ = ["RESAMPLER", "resize"]

#: Part of a rendition's name: what two machines make need not be the same.
RESAMPLER = "simd" if simd is not None else "pillow"

#: The modes of 8-bit colours that are resampled band by band, and what becomes of those whose
#: colours weigh as much as they are opaque.
_MODES = {"L": "L", "RGB": "RGB", "CMYK": "CMYK", "RGBA": "RGBa"}
#: Pixels are first averaged in whole numbers until the rest is not below this factor: that is
#: cheaper, and from a third on it shows in no picture.
GAP = 3.0
#: How many pixels of the answer Lanczos looks to each side.
REACH = 3


def resize(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Resample `box` of the picture to `size` (Lanczos, alpha-weighted colours).

    `image`: L, LA, RGB, RGBA, CMYK, LAB or YCbCr, 8 bits; `box`: pixels, fractions allowed.
    """
    if box == (0, 0, *image.size) and size == image.size:
        return image
    if simd is None or image.mode not in _MODES:
        return image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=GAP)
    weighted = image.convert(_MODES[image.mode]) if image.mode == "RGBA" else image
    reduced, place = _reduced(weighted, size, box)
    resized = Image.new(weighted.mode, size)
    lanczos = simd.ResizeAlg.convolution(simd.FilterType.lanczos3)
    # (A division may put an edge a rounding beyond the picture.)
    right, bottom = min(place[2], reduced.width), min(place[3], reduced.height)
    crop = simd.CropBox(place[0], place[1], right - place[0], bottom - place[1])
    options = simd.ResizeOptions(resize_alg=lanczos, crop_box=crop)
    simd.Resizer().resize_pil(reduced, resized, options)
    return resized.convert(image.mode) if image.mode == "RGBA" else resized


def _reduced(image: Image.Image, size: Size, box: Box) -> tuple[Image.Image, Box]:
    """Average pixels while there are far too many; returns the box in what is left."""
    scales = (box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]
    across, down = (max(1, int(scale / GAP)) for scale in scales)
    if across == 1 and down == 1:
        return image, box
    margins = [math.ceil(REACH * scale) for scale in scales]
    left, top = (max(0, math.floor(box[side]) - margins[side]) for side in (0, 1))
    right, bottom = (
        min(image.size[side], math.ceil(box[side + 2]) + margins[side]) for side in (0, 1)
    )
    place = (
        (box[0] - left) / across,
        (box[1] - top) / down,
        (box[2] - left) / across,
        (box[3] - top) / down,
    )
    return image.reduce((across, down), (left, top, right, bottom)), place
