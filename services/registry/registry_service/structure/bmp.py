"""BMP (Windows bitmaps, also OS/2's): the headers against each other and the file's size."""

from __future__ import annotations

import struct

from registry_service.structure.limits import Limits
from registry_service.structure.result import Structure
from registry_service.structure.source import Source, corrupt

__all__ = ["HEADER_SIZES", "check"]

CORE = 12
#: Sizes of the second header: OS/2 1, Windows 3, its extensions 2 and 3, OS/2 2, V4 and V5.
HEADER_SIZES = {CORE, 40, 52, 56, 64, 108, 124}
#: Bits per pixel by compression: none, RLE8, RLE4, bit fields, bit fields with alpha.
DEPTHS = {0: {1, 2, 4, 8, 16, 24, 32}, 1: {8}, 2: {4}, 3: {16, 32}, 6: {16, 32}}
RUN_LENGTH = {1, 2}


def check(source: Source, limits: Limits) -> Structure:
    """Check that everything the headers promise lies in the file; raises `Rejected`."""
    _, declared, _, pixels, header = struct.unpack("<2sIIII", source.at(0, 18, "the header"))
    body = source.at(14, header, "the header")
    if header == CORE:
        width, height, planes, depth = struct.unpack("<HHHH", body[4:12])
        compression = image_bytes = used = 0
    else:
        width, height, planes, depth, compression, image_bytes = struct.unpack(
            "<iiHHII", body[4:24]
        )
        used = struct.unpack("<I", body[32:36])[0]
    height = abs(height)  # negative: rows from the top
    if width <= 0 or not height:
        raise corrupt("the header declares no size")
    limits.check_size(width, height)
    if planes != 1 or depth not in DEPTHS.get(compression, ()):
        raise corrupt(f"{depth} bits with compression {compression} is not supported")
    colours = min(used or 1 << depth, 1 << depth) if depth <= 8 else 0
    masks = 12 if header == 40 and compression == 3 else 0
    palette = 14 + header + masks + colours * (3 if header == CORE else 4)
    if pixels < 14 + header or (colours and pixels < palette - 4 * colours):
        raise corrupt("pixels begin inside the header")
    if compression not in RUN_LENGTH:
        image_bytes = (width * depth + 31) // 32 * 4 * height
    source.need(max(palette, pixels + image_bytes, declared), "rows of pixels")
    return Structure(media_type="image/bmp", width=width, height=height)
