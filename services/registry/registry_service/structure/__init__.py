"""Which format a file is, told from its content, and whether its structure is whole.

No pixels are decoded: a file is read once, with bounded memory. Each format has a module of its
own whose `check(source, limits)` returns a `Structure` or raises `Rejected`:

======================  ======  ================================================================
code                    status  meaning
======================  ======  ================================================================
unsupported_media_type  415     the content is none of the formats
truncated_image         422     the file ends before the picture does
corrupt_image           422     the file contradicts its format
too_many_pixels         422     a frame is larger than MAX_PIXELS
too_many_frames         422     more frames or pages than MAX_FRAMES
======================  ======  ================================================================
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from imagesystem.errors import Rejected

from registry_service.structure import avif, bmp, gif, jpeg, png, tiff, webp
from registry_service.structure.limits import Limits
from registry_service.structure.result import Structure
from registry_service.structure.source import Source

__all__ = ["FORMATS", "Format", "Limits", "Source", "Structure", "check", "detect"]

HEAD_BYTES = 256
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class Format(msgspec.Struct, frozen=True):
    """A format: its name (as Pillow has it), how its first bytes look, how it is checked."""

    name: str
    begins: Callable[[bytes], bool]
    check: Callable[[Source, Limits], Structure]


def _is_bmp(head: bytes) -> bool:
    # two letters are too little to tell a bitmap from a text: the second header's size as well
    return head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in bmp.HEADER_SIZES


FORMATS: tuple[Format, ...] = (
    Format("JPEG", lambda head: head[:3] == b"\xff\xd8\xff", jpeg.check),
    Format("PNG", lambda head: head[:8] == b"\x89PNG\r\n\x1a\n", png.check),
    Format("WEBP", lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP", webp.check),
    Format("AVIF", avif.is_avif, avif.check),
    Format("GIF", lambda head: head[:6] in (b"GIF87a", b"GIF89a"), gif.check),
    Format("BMP", _is_bmp, bmp.check),
    Format("TIFF", lambda head: head[:4] in TIFF_SIGNATURES, tiff.check),
)


def detect(source: Source) -> Format:
    """Return the format that the content is; raises `Rejected` 415 `unsupported_media_type`."""
    head = source.at(0, min(HEAD_BYTES, source.size))
    for form in FORMATS:
        if form.begins(head):
            return form
    names = ", ".join(form.name for form in FORMATS)
    raise Rejected(415, "unsupported_media_type", f"the content is none of {names}")


def check(source: Source, limits: Limits) -> tuple[Format, Structure]:
    """Return the format and the verified structure of a file; raises `Rejected`."""
    form = detect(source)
    return form, form.check(source, limits)
