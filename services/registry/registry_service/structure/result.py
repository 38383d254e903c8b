"""What the structure of a file says about the picture in it."""

from __future__ import annotations

import msgspec

__all__ = ["Structure"]


class Structure(msgspec.Struct, frozen=True, kw_only=True):
    """Media type, `width` and `height` in pixels as stored, frames (or pages) and raw EXIF.

    `exif`: a TIFF structure, perhaps after `Exif\\0\\0` (EXIF 2.32, 4.5.2). `orientation`: what
    the container itself says (AVIF: `irot` and `imir`), which then overrides the EXIF tag.
    """

    media_type: str
    width: int
    height: int
    frames: int = 1
    exif: bytes | None = None
    orientation: int | None = None
