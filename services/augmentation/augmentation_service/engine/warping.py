"""Moving pixels to where a move says: interpolation, and what appears at the edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine import alpha
from augmentation_service.engine.errors import TooLarge
from augmentation_service.engine.fields import Field
from augmentation_service.engine.images import Image, Size, size_of, to_floats, with_channels
from augmentation_service.engine.moves import Affine, Homography
from augmentation_service.engine.parameters import Choice, Colour

__all__ = [
    "BORDER",
    "BORDERS",
    "FILL",
    "INTERPOLATION",
    "INTERPOLATIONS",
    "colour_of",
    "pixel_of",
    "resampled",
    "scaled",
    "warp_field",
    "warp_matrix",
]

#: OpenCV counts warped pixels in 16-bit integers.
MAX_SIDE = 32_766
#: Maps of where pixels come from are made for so many rows at once: they take 8 bytes a pixel.
_BAND_ROWS = 256

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
        "wrap": "the picture, repeated",
    },
    default="fill",
)
FILL = Colour(
    name="fill",
    description="colour of `border` fill; its opacity counts where the picture has transparency",
    default="#00000000",
)

INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
}
BORDERS = {
    "fill": cv2.BORDER_CONSTANT,
    "edge": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
    "wrap": cv2.BORDER_WRAP,
}

#: (array, border value) -> array: a resampling of OpenCV.
Kernel: TypeAlias = Callable[[NDArray[Any], list[float]], NDArray[Any]]


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
    return to_floats(values) if image.dtype == np.float32 else values


def resampled(image: Image, kernel: Kernel, *, interpolation: str, border: str, fill: str) -> Image:
    """Return what `kernel` makes of the picture; of RGBA, each pixel counts as it is seen."""
    channels = image.shape[2]
    colour = pixel_of(fill, image)
    # The nearest pixel is copied with whatever it has; all else is a mixture.
    if channels == 4 and interpolation != "nearest" and not _all_opaque(image, border, colour):
        value = alpha.weighted(colour[None, None])[0, 0].tolist()
        return alpha.divided(kernel(alpha.weighted(image), value))
    result = kernel(image, colour.tolist())
    if image.dtype == np.float32 and interpolation == "cubic":
        result = np.clip(result, 0, 1)  # it overshoots
    return with_channels(result, channels)


def _all_opaque(image: Image, border: str, colour: NDArray[Any]) -> bool:
    top = 255 if image.dtype == np.uint8 else 1
    return (border != "fill" or bool(colour[3] == top)) and alpha.is_opaque(image)


def _check_sides(image: Image, after: Size) -> None:
    longest = max(*size_of(image), *after)
    if longest > MAX_SIDE:
        raise TooLarge("side", MAX_SIDE, longest)


def warp_matrix(
    image: Image,
    move: Affine | Homography,
    *,
    interpolation: str,
    border: str,
    fill: str,
    **_: object,
) -> Image:
    """Return the picture moved by `move`; parameters as declared in this module.

    Raises `TooLarge` when a side, before or after, is longer than OpenCV can count.
    """
    if move.is_identity and move.size == size_of(image):
        return image
    _check_sides(image, move.size)
    warp = cv2.warpAffine if isinstance(move, Affine) else cv2.warpPerspective

    def kernel(array: NDArray[Any], value: list[float]) -> NDArray[Any]:
        return warp(
            array,
            move.pixel_matrix,
            move.size,
            flags=INTERPOLATIONS[interpolation],
            borderMode=BORDERS[border],
            borderValue=value,
        )

    return resampled(image, kernel, interpolation=interpolation, border=border, fill=fill)


def warp_field(
    image: Image, move: Field, *, interpolation: str, border: str, fill: str, **_: object
) -> Image:
    """Return the picture moved by `move`; raises `TooLarge` as `warp_matrix` does."""
    if not move.nodes.any():
        return image
    _check_sides(image, move.size)
    width, height = move.size

    def kernel(array: NDArray[Any], value: list[float]) -> NDArray[Any]:
        result = np.empty((height, width, *array.shape[2:]), array.dtype)
        for top in range(0, height, _BAND_ROWS):
            bottom = min(top + _BAND_ROWS, height)
            map_x, map_y = move.maps(top, bottom)
            cv2.remap(
                array,
                map_x,
                map_y,
                interpolation=INTERPOLATIONS[interpolation],
                dst=result[top:bottom],
                borderMode=BORDERS[border],
                borderValue=value,
            )
        return result

    return resampled(image, kernel, interpolation=interpolation, border=border, fill=fill)


def scaled(image: Image, after: Size, interpolation: str) -> Image:
    """Return the picture in another size; at most half as large, each pixel is a mean.

    (Unless it is the nearest.) Between half and all, interpolation sees every pixel, and takes an
    eighth of the time.
    """
    width, height = size_of(image)
    if after == (width, height):
        return image
    flag = INTERPOLATIONS[interpolation]
    smaller = after[0] <= width and after[1] <= height
    if interpolation != "nearest" and smaller and max(width / after[0], height / after[1]) >= 2:
        flag = cv2.INTER_AREA
    if interpolation == "nearest":
        flag = cv2.INTER_NEAREST_EXACT

    def kernel(array: NDArray[Any], value: list[float]) -> NDArray[Any]:
        del value
        return cv2.resize(array, after, interpolation=flag)

    return resampled(image, kernel, interpolation=interpolation, border="edge", fill="#000000")
