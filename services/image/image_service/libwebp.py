"""Still WebPs by the libwebp that Pillow brings, without the animation decoder before it.

Pillow decodes every WebP as an animation: four copies of the pixels. Asked itself, the library
writes them once, and makes them smaller as it decodes (webp/decode.h, "Advanced decoding API").
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, Union, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, features

from image_service.geometry import Size

__all__ = ["decode", "reduction"]

#: A picture is averaged to so many times the size that is wanted; the rest is resampled. Less
#: shows, more costs time, and bytes where the answer is a JPEG.
GAP = 1.3
#: Below this factor averaging would blur more than it saves.
LEAST = 2.0

#: WEBP_DECODER_ABI_VERSION: the library refuses another major version.
ABI = 0x0209
MODE_RGB, MODE_RGBA = 0, 1


class _Features(Structure):
    _fields_ = [
        ("width", c_int),
        ("height", c_int),
        ("has_alpha", c_int),
        ("has_animation", c_int),
        ("format", c_int),
        ("pad", c_uint32 * 5),
    ]


class _Pixels(Structure):
    _fields_ = [("start", c_void_p), ("stride", c_int), ("size", c_size_t)]


class _Planes(Structure):
    _fields_ = [("starts", c_void_p * 4), ("strides", c_int * 4), ("sizes", c_size_t * 4)]


class _Storage(Union):
    _fields_ = [("pixels", _Pixels), ("planes", _Planes)]


class _Output(Structure):
    _fields_ = [
        ("colourspace", c_int),
        ("width", c_int),
        ("height", c_int),
        ("is_external_memory", c_int),
        ("storage", _Storage),
        ("pad", c_uint32 * 4),
        ("private_memory", c_void_p),
    ]


class _Options(Structure):
    _fields_ = [
        ("bypass_filtering", c_int),
        ("no_fancy_upsampling", c_int),
        ("use_cropping", c_int),
        ("crop", c_int * 4),
        ("use_scaling", c_int),
        ("scaled_width", c_int),
        ("scaled_height", c_int),
        ("use_threads", c_int),
        ("dithering_strength", c_int),
        ("flip", c_int),
        ("alpha_dithering_strength", c_int),
        ("pad", c_uint32 * 5),
    ]


class _Configuration(Structure):
    _fields_ = [("input", _Features), ("output", _Output), ("options", _Options)]


def reduction(scale: float) -> float:
    """Return by which factor to average while decoding, when a side is to be `scale` times less."""
    factor = scale / GAP
    return factor if factor >= LEAST else 1.0


@cache
def _library() -> Any:
    """Return the library that Pillow's module is linked with, None where there is none."""
    if not features.check("webp"):
        return None
    from PIL import _webp  # noqa: PLC0415  not in every build

    library = ctypes.CDLL(_webp.__file__)
    try:
        start, read, decode_ = (
            library.WebPInitDecoderConfigInternal,
            library.WebPGetFeaturesInternal,
            library.WebPDecode,
        )
    except AttributeError:  # built into Pillow's module: its names are not to be seen
        return None
    start.argtypes = [POINTER(_Configuration), c_int]
    read.argtypes = [c_char_p, c_size_t, POINTER(_Features), c_int]
    decode_.argtypes = [c_char_p, c_size_t, POINTER(_Configuration)]
    return library


def decode(source: bytes, stored: Size, size: Size) -> Image.Image | None:
    """Return the pixels of a still WebP (RGB or RGBA) in a size, averaged where that is smaller.

    `stored`: the size that it is known to have. None: it moves, it is broken, or there is no such
    library; Pillow knows what to do then.
    """
    library = _library()
    asked = _Configuration()
    if (
        library is None
        or not library.WebPInitDecoderConfigInternal(asked, ABI)
        or library.WebPGetFeaturesInternal(source, len(source), asked.input, ABI)
        or asked.input.has_animation
        or (asked.input.width, asked.input.height) != stored
    ):
        return None
    bands = 4 if asked.input.has_alpha else 3
    values = np.empty((size[1], size[0], bands), np.uint8)
    asked.output.colourspace = MODE_RGBA if bands == 4 else MODE_RGB
    asked.output.is_external_memory = 1
    asked.output.storage.pixels = _Pixels(values.ctypes.data, size[0] * bands, values.nbytes)
    if size != stored:
        asked.options.use_scaling = 1
        asked.options.scaled_width, asked.options.scaled_height = size
    if library.WebPDecode(source, len(source), asked):
        return None
    return Image.fromarray(values)
