"""What stands in for a picture while it loads: BlurHash, ThumbHash, a picture of a few pixels.

Pure. `pixels`: float array (H, W, 4), sRGB and alpha, 0 to 1.
"""

from __future__ import annotations

import base64
import io
import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["blurhash", "data_uri", "thumbhash"]

Values: TypeAlias = NDArray[Any]

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
#: BlurHash: how many waves across and down.
ACROSS, DOWN = 4, 3
#: The longest side of the picture in a data URI.
TINY_SIDE = 16


def data_uri(picture: Image.Image) -> str:
    """Return a WebP of at most 16 pixels a side as a `data:` URI."""
    tiny = picture.copy()
    tiny.thumbnail((TINY_SIDE, TINY_SIDE), Image.Resampling.BOX)
    tiny.info = {}
    buffer = io.BytesIO()
    tiny.save(buffer, "WEBP", quality=30, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def blurhash(pixels: Values) -> str:
    """Return the BlurHash (github.com/woltapp/blurhash, 4 x 3), over white where transparent."""
    colours = pixels[..., :3] * pixels[..., 3:] + (1 - pixels[..., 3:])
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    height, width = linear.shape[:2]
    x = np.cos(np.pi * np.outer(np.arange(ACROSS), np.arange(width)) / width)
    y = np.cos(np.pi * np.outer(np.arange(DOWN), np.arange(height)) / height)
    waves = np.einsum("jy,ix,yxc->jic", y, x, linear) / (width * height)
    waves *= np.where(np.arange(DOWN * ACROSS).reshape(DOWN, ACROSS, 1) == 0, 1.0, 2.0)
    mean, rest = waves[0, 0], waves.reshape(-1, 3)[1:]
    largest = float(np.abs(rest).max())
    step = min(82, max(0, int(largest * 166 - 0.5)))
    scaled = rest / ((step + 1) / 166)
    levels = np.clip(np.floor(np.sign(scaled) * np.abs(scaled) ** 0.5 * 9 + 9.5), 0, 18)
    return (
        _base83((ACROSS - 1) + (DOWN - 1) * 9, 1)
        + _base83(step, 1)
        + _base83(int(_srgb(mean) @ np.array([65536, 256, 1])), 4)
        + "".join(_base83(int(level @ np.array([361, 19, 1])), 2) for level in levels)
    )


def _base83(value: int, length: int) -> str:
    return "".join(_DIGITS[value // 83**place % 83] for place in reversed(range(length)))


def _srgb(linear: Values) -> Values:
    """Return linear light as levels, 0 to 255."""
    light = np.clip(linear, 0, 1)
    curve = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    levels: Values = (curve * 255 + 0.5).astype(int)
    return levels


def thumbhash(pixels: Values) -> str:
    """Return the ThumbHash (evanw.github.io/thumbhash) in base64; at most 100 pixels a side."""
    height, width = pixels.shape[:2]
    alpha = pixels[..., 3]
    opaque = float(alpha.mean())
    mean = (pixels[..., :3] * alpha[..., None]).sum((0, 1)) / max(alpha.sum(), 1e-9)
    red, green, blue = np.moveaxis(
        mean * (1 - alpha[..., None]) + pixels[..., :3] * alpha[..., None], -1, 0
    )
    clear = opaque < 1.0
    most, longest = (5 if clear else 7), max(width, height)
    across, down = (max(1, _round(most * side / longest)) for side in (width, height))
    light = _waves((red + green + blue) / 3, max(3, across), max(3, down))
    yellow, magenta = _waves((red + green) / 2 - blue, 3, 3), _waves(red - green, 3, 3)
    wide = width > height
    first = (
        _round(63 * light[0])
        | _round(31.5 + 31.5 * yellow[0]) << 6
        | _round(31.5 + 31.5 * magenta[0]) << 12
        | _round(31 * light[1]) << 18
        | clear << 23
    )
    second = (
        (down if wide else across)
        | _round(63 * yellow[1]) << 3
        | _round(63 * magenta[1]) << 9
        | wide << 15
    )
    header = first.to_bytes(3, "little") + second.to_bytes(2, "little")
    channels = [light, yellow, magenta]
    if clear:
        seen = _waves(alpha, 5, 5)
        header += bytes([_round(15 * seen[0]) | _round(15 * seen[1]) << 4])
        channels.append(seen)
    nibbles = [_round(15 * wave) for channel in channels for wave in channel[2]]
    if len(nibbles) % 2:
        nibbles.append(0)
    packed = bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))
    return base64.b64encode(header + packed).decode()


def _round(value: float) -> int:
    return math.floor(value + 0.5)


def _waves(channel: Values, across: int, down: int) -> tuple[float, float, list[float]]:
    """Return the mean, the largest wave, and all waves as shares of that (0.5: none)."""
    height, width = channel.shape
    x = np.cos(np.pi * np.outer(np.arange(across), np.arange(width) + 0.5) / width)
    y = np.cos(np.pi * np.outer(np.arange(down), np.arange(height) + 0.5) / height)
    waves = np.einsum("jy,ix,yx->ji", y, x, channel) / (width * height)
    found = [
        float(waves[j, i])
        for j in range(down)
        for i in range(across)
        if (i or j) and i * down < across * (down - j)
    ]
    largest = max(map(abs, found))
    shares = [0.5 + 0.5 * wave / largest for wave in found] if largest else [0.5] * len(found)
    return float(waves[0, 0]), min(1.0, largest), shares
