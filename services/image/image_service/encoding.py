"""Pixels in, the bytes of a format out."""

from __future__ import annotations

import io

from PIL import Image

from image_service.formats import Encoding, Format

__all__ = ["encode"]


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
    bare = picture.copy()
    bare.info = {}
    options = format_.options(encoding)
    if profile:
        options["icc_profile"] = profile
    if exif:
        options["exif"] = exif
    buffer = io.BytesIO()
    bare.save(buffer, format_.pillow, **options)
    return buffer.getvalue()
