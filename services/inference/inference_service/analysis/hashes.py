"""Hashes that look alike when pictures do: perceptual hash and blurhash."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inference_service.decoding import Pixels

__all__ = ["blurhash", "phash"]

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
#: Side to which a picture is averaged for its blurhash: far above the highest frequency, 3.
BLURRED_SIDE = 64


def _linear_of_srgb() -> NDArray[np.float32]:
    value = np.arange(256) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(
        np.float32
    )


_LINEAR = _linear_of_srgb()


def phash(luma: Pixels) -> str:
    """Return the 64-bit perceptual hash of `luma` uint8 (h, w): 16 hex digits.

    The 8 x 8 lowest frequencies of the 32 x 32 picture's DCT, one bit each: above the median
    or not, the lowest frequency first. Pictures that look alike differ in few bits.
    """
    small = np.asarray(cv2.resize(luma, (32, 32), interpolation=cv2.INTER_AREA), np.float32)
    # rounded: where there is nothing, rounding errors must not decide a bit
    lowest = np.round(np.asarray(cv2.dct(small))[:8, :8], 2)
    bits = (lowest > np.median(lowest)).ravel()
    return np.packbits(bits).tobytes().hex()


def blurhash(pixels: Pixels, across: int = 4, down: int = 3) -> str:
    """Return the blurhash (blurha.sh) of `pixels` uint8 (h, w, 3), sRGB.

    Cosine transform of linear light with `across` x `down` components, quantised and written
    in base 83. Larger pictures are averaged first (in linear light, to `BLURRED_SIDE`).
    """
    linear = np.asarray(cv2.LUT(pixels, _LINEAR), np.float32)
    shrink = max(1.0, max(pixels.shape) / BLURRED_SIDE)
    height, width = (max(1, round(length / shrink)) for length in pixels.shape[:2])
    if shrink > 1:
        linear = np.asarray(cv2.resize(linear, (width, height), interpolation=cv2.INTER_AREA))
    columns = _cosines(across, width)
    rows = _cosines(down, height)
    by_row = rows @ linear.reshape(height, width * 3)
    factors = np.einsum("aw,dwc->dac", columns, by_row.reshape(down, width, 3))
    factors *= 2.0 / (width * height)
    average, rest = factors[0, 0] / 2, factors.reshape(-1, 3)[1:]
    largest = float(np.abs(rest).max(initial=0.0))
    quantised = int(np.clip(np.floor(largest * 166 - 0.5), 0, 82)) if rest.size else 0
    maximum = (quantised + 1) / 166
    red, green, blue = (_srgb_of_linear(float(value)) for value in average)
    code = _base83((across - 1) + (down - 1) * 9, 1) + _base83(quantised, 1)
    code += _base83((red << 16) + (green << 8) + blue, 4)
    scaled = np.sign(rest) * np.sqrt(np.abs(rest) / maximum)
    for red, green, blue in np.clip(np.floor(scaled * 9 + 9.5), 0, 18).astype(int).tolist():
        code += _base83(red * 361 + green * 19 + blue, 2)
    return code


def _cosines(components: int, length: int) -> NDArray[np.float32]:
    frequencies = np.arange(components)[:, None] * np.arange(length)[None, :]
    return np.asarray(np.cos(np.pi * frequencies / length), np.float32)


def _srgb_of_linear(value: float) -> int:
    value = min(1.0, max(0.0, value))
    shown = value * 12.92 if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return int(shown * 255 + 0.5)


def _base83(value: int, length: int) -> str:
    return "".join(DIGITS[value // 83**place % 83] for place in reversed(range(length)))
