"""Pixels in, the bytes of a format out."""

from __future__ import annotations

import io

import msgspec
from PIL import Image

from image_service.formats import Encoding, Format

__all__ = ["encode"]

#: A picture is looked at in so many rows and columns; with more colours there, it is a photograph.
SAMPLE = 64
FEW_COLOURS = 2048


def encode(
    picture: Image.Image,
    format_: Format,
    encoding: Encoding,
    *,
    profile: bytes = b"",
    exif: bytes = b"",
) -> bytes:
    """Encode pixels and nothing else of the source: no comment, no text, no private EXIF.

    `picture`: L, LA, RGB, RGBA or P, as `format_` can hold it; `profile` (ICC) and `exif` are
    written where they are given and the format has a place for them.
    """
    # What a file was opened as would be written as that file; what was made of it is ours.
    bare = picture if type(picture) is Image.Image else picture.copy()
    bare.info = {}
    if format_.name == "png":
        encoding = msgspec.structs.replace(encoding, photographic=_photographic(bare))
    options = format_.options(encoding)
    if profile:
        options["icc_profile"] = profile
    if exif:
        options["exif"] = exif
    buffer = io.BytesIO()
    bare.save(buffer, format_.pillow, **options)
    return buffer.getvalue()


def _photographic(picture: Image.Image) -> bool:
    """Say whether hardly two pixels are alike: then nothing repeats itself."""
    if picture.mode not in ("RGB", "RGBA"):
        return False
    sample = picture.resize((SAMPLE, SAMPLE), Image.Resampling.NEAREST)
    return sample.getcolors(FEW_COLOURS) is None
