"""PNG (W3C PNG 3, which includes APNG): chunks with their CRC from IHDR to IEND."""

from __future__ import annotations

import zlib

from registry_service.structure.limits import Limits
from registry_service.structure.result import Structure
from registry_service.structure.source import Source, corrupt

__all__ = ["check"]

#: Bit depths by colour type.
DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
MAX_CHUNKS = 200_000
MAX_EXIF_BYTES = 1024 * 1024


def check(source: Source, limits: Limits) -> Structure:
    """Walk from IHDR to IEND and verify every CRC; raises `Rejected`."""
    width, height, colour = _header(source)
    limits.check_size(width, height)
    position, seen, exif, declared, frames = 8, set[bytes](), None, None, 0
    for _ in range(MAX_CHUNKS):
        head = source.at(position, 8, "no IEND chunk")
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        name = kind.decode("latin-1")
        if length > 0x7FFF_FFFF or not (kind.isalpha() and kind.isascii()):
            raise corrupt(f"{name!r} at byte {position} is no chunk")
        source.need(position + 12 + length, f"chunk {name}")
        if kind == b"acTL" and length == 8 and b"IDAT" not in seen:
            declared = source.number(position + 8, 4)
            limits.check_frames(declared)
        elif kind == b"fcTL":
            frames += 1
            limits.check_frames(frames)
            _frame(source, position + 8, length, width, height)
        elif kind == b"eXIf" and length <= MAX_EXIF_BYTES:
            exif = source.at(position + 8, length)
        _check_crc(source, position, length, name)
        seen.add(kind)
        position += 12 + length
        if kind == b"IEND":
            break
    else:
        raise corrupt("too many chunks")
    if b"IDAT" not in seen or (colour == 3 and b"PLTE" not in seen):
        raise corrupt("it has no picture data" if b"IDAT" not in seen else "it has no palette")
    if declared and declared != frames:
        raise corrupt(f"it declares {declared} frames and has {frames}")
    return Structure(
        media_type="image/png", width=width, height=height, frames=declared or 1, exif=exif
    )


def _header(source: Source) -> tuple[int, int, int]:
    head = source.at(8, 21, "no IHDR chunk")
    if head[:8] != b"\0\0\0\x0dIHDR":
        raise corrupt("the first chunk is not IHDR")
    width, height = int.from_bytes(head[8:12], "big"), int.from_bytes(head[12:16], "big")
    depth, colour, compression, filtering, interlace = head[16:21]
    if not (0 < width < 2**31 and 0 < height < 2**31):
        raise corrupt("IHDR declares no valid size")
    if depth not in DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise corrupt("IHDR declares a format that does not exist")
    return width, height, colour


def _frame(source: Source, body: int, length: int, width: int, height: int) -> None:
    if length != 26:
        raise corrupt("a frame control chunk of the wrong length")
    w, h, x, y = (source.number(body + 4 * n, 4) for n in range(1, 5))
    if not w or not h or x + w > width or y + h > height:
        raise corrupt("a frame lies outside the picture")


def _check_crc(source: Source, position: int, length: int, name: str) -> None:
    crc = 0
    for block in source.blocks(position + 4, position + 8 + length):
        crc = zlib.crc32(block, crc)
    if crc != source.number(position + 8 + length, 4):
        raise corrupt(f"chunk {name} does not match its checksum")
