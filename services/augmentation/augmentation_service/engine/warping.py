"""Moving pixels to where an affine move says: interpolation, and what appears at the edges."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine import alpha
from augmentation_service.engine.errors import TooLarge
from augmentation_service.engine.images import Image, size_of, to_floats, with_channels
from augmentation_service.engine.moves import Affine
from augmentation_service.engine.parameters import Choice, Colour

__all__ = ["BORDER", "FILL", "INTERPOLATION", "colour_of", "pixel_of", "warp_affine"]

#: OpenCV counts warped pixels in 16-bit integers.
MAX_SIDE = 32_766

INTERPOLATION = Choice(
    name="interpolation",
    description="how values between pixels are found",
    choices={
        "nearest": "the nearest pixel's: no new colours",
        "linear": "from the 4 nearest pixels",
        "cubic": "from the 16 nearest pixels: sharper, slower, may overshoot",
    },
    default="linear",
)
BORDER = Choice(
    name="border",
    description="what is seen where the picture had nothing",
    choices={
        "fill": "the colour `fill`",
        "edge": "the nearest pixel of the edge, repeated",
        "reflect": "the picture, mirrored at its edge",
    },
    default="fill",
)
FILL = Colour(
    name="fill",
    description="colour of `border` fill; its opacity counts where the picture has transparency",
    default="#00000000",
)

_INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
}
_BORDERS = {
    "fill": cv2.BORDER_CONSTANT,
    "edge": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
}


def colour_of(text: str, channels: int) -> tuple[int, ...]:
    """Return `#rrggbb` or `#rrggbbaa` as values of a pixel with that many channels.

    Grey is luma (ITU-R BT.601); without an opacity it is opaque.
    """
    red, green, blue, opacity = bytes.fromhex(text[1:].ljust(8, "f"))
    if channels == 1:
        return ((299 * red + 587 * green + 114 * blue + 500) // 1000,)
    return (red, green, blue, opacity)[:channels]


def pixel_of(text: str, image: Image) -> NDArray[Any]:
    """Return a colour as a pixel (C,) of the image's type; see `colour_of`."""
    values = np.array(colour_of(text, image.shape[2]), np.uint8)
    return values if image.dtype == np.uint8 else to_floats(values)


def warp_affine(image: Image, move: Affine, *, interpolation: str, border: str, fill: str) -> Image:
    """Return the picture moved by `move`; parameters as declared in this module.

    Raises `TooLarge` when a side, before or after, is longer than OpenCV can count.
    """
    longest = max(*size_of(image), *move.size)
    if longest > MAX_SIDE:
        raise TooLarge("side", MAX_SIDE, longest)
    channels = image.shape[2]
    colour = pixel_of(fill, image)
    # The nearest pixel is copied with whatever it has; all else is a mixture.
    mixed_with_opacity = channels == 4 and interpolation != "nearest"
    source: alpha.Weighted | Image = image
    value = colour.tolist()
    if mixed_with_opacity:
        source, value = alpha.weighted(image), alpha.weighted(colour[None, None])[0, 0].tolist()
    warped = cv2.warpAffine(
        source,
        move.pixel_matrix,
        move.size,
        flags=_INTERPOLATIONS[interpolation],
        borderMode=_BORDERS[border],
        borderValue=value,
    )
    if mixed_with_opacity:
        return alpha.divided(warped)
    if image.dtype != np.uint8 and interpolation == "cubic":
        warped = np.clip(warped, 0, 1)  # it overshoots
    return with_channels(warped, channels)
