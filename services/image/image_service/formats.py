"""The formats a rendition can have, and those that sources may have.

One table: media types, what each can hold, its limits and how it is encoded.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import msgspec

__all__ = ["ALIASES", "ANIMATES", "DEFAULTS", "FORMATS", "NEGOTIATED", "Encoding", "Format"]


class Encoding(msgspec.Struct, frozen=True, kw_only=True):
    """How pixels are written; a format takes what it knows of this.

    `quality` 1-100; `lossless`: WebP; `progressive`: JPEG; `subsampling` of the
    colours: JPEG and AVIF (None: the encoder's own); `photographic`: hardly two pixels are alike.
    """

    quality: int = 0
    lossless: bool = False
    progressive: bool = False
    subsampling: str | None = None
    photographic: bool = False


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """One format.

    `pillow` is its name there; `alpha`: it stores transparency (`one_bit`: a pixel has it
    wholly or not); `quality` the default (None: lossless, it has none); `max_side` pixels;
    `options` returns what the encoder is told.
    """

    name: str
    media_type: str
    extension: str
    pillow: str
    alpha: bool
    max_side: int
    quality: int | None = None
    one_bit: bool = False
    options: Callable[[Encoding], dict[str, Any]] = lambda _encoding: {}


def _jpeg(encoding: Encoding) -> dict[str, Any]:
    # Huffman tables of its own: 2 % fewer bytes for a millisecond.
    options: dict[str, Any] = {"quality": encoding.quality, "optimize": True}
    if encoding.progressive:
        options["progressive"] = True
    if encoding.subsampling is not None:
        options["subsampling"] = encoding.subsampling
    return options


def _png(encoding: Encoding) -> dict[str, Any]:
    # What does not repeat itself need not be searched for repetitions: run lengths take half the
    # time and 2 % fewer bytes. All else: level 3 takes half the time of 6 for some 5 % more.
    if encoding.photographic:
        return {"compress_level": 1, "compress_type": zlib.Z_RLE}
    return {"compress_level": 3}


def _webp(encoding: Encoding) -> dict[str, Any]:
    if encoding.lossless:
        return {"lossless": True, "quality": 50, "method": 2}
    # Method 2 takes under half the time of method 4 for some 4 % more bytes.
    return {"quality": encoding.quality, "method": 2}


def _avif(encoding: Encoding) -> dict[str, Any]:
    # Speed 8 takes a third of the time of 6. One thread: there is a worker per core.
    options: dict[str, Any] = {"quality": encoding.quality, "speed": 8, "max_threads": 1}
    if encoding.subsampling is not None:
        options["subsampling"] = encoding.subsampling
    return options


FORMATS: dict[str, Format] = {
    format_.name: format_
    for format_ in (
        Format(
            name="jpeg",
            media_type="image/jpeg",
            extension="jpg",
            pillow="JPEG",
            alpha=False,
            max_side=65_500,
            quality=80,
            options=_jpeg,
        ),
        Format(
            name="png",
            media_type="image/png",
            extension="png",
            pillow="PNG",
            alpha=True,
            max_side=1 << 30,
            options=_png,
        ),
        Format(
            name="webp",
            media_type="image/webp",
            extension="webp",
            pillow="WEBP",
            alpha=True,
            max_side=16_383,
            quality=80,
            options=_webp,
        ),
        Format(
            name="avif",
            media_type="image/avif",
            extension="avif",
            pillow="AVIF",
            alpha=True,
            max_side=65_535,
            quality=60,
            options=_avif,
        ),
        Format(
            name="gif",
            media_type="image/gif",
            extension="gif",
            pillow="GIF",
            alpha=True,
            one_bit=True,
            max_side=65_535,
        ),
        Format(
            name="tiff",
            media_type="image/tiff",
            extension="tiff",
            pillow="TIFF",
            alpha=True,
            max_side=1 << 30,
            options=lambda _encoding: {"compression": "tiff_adobe_deflate"},
        ),
        Format(
            name="bmp",
            media_type="image/bmp",
            extension="bmp",
            pillow="BMP",
            alpha=False,
            max_side=32_767,
        ),
    )
}

#: Other spellings of `format=`.
ALIASES: dict[str, str] = {"jpg": "jpeg", "tif": "tiff"}

#: The format of a rendition that names none, by the source's media type: its own, if browsers
#: show that one, else one that loses nothing.
DEFAULTS: dict[str, str] = {
    **{format_.media_type: format_.name for format_ in FORMATS.values()},
    "image/tiff": "png",
    "image/bmp": "png",
}

#: `format=auto` takes the first of these that the client names in `Accept`, else the default.
NEGOTIATED: tuple[str, ...] = ("avif", "webp")

#: The formats that hold animations; the others show one frame.
ANIMATES: tuple[str, ...] = ("gif", "webp", "avif", "png")
