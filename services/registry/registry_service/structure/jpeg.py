"""JPEG (ITU-T T.81): markers and their segments from SOI to EOI.

Whatever follows EOI is left alone: phones append further pictures (MPF) and videos (motion
photos) there, and every decoder ignores it.
"""

from __future__ import annotations

import re

from registry_service.structure.limits import Limits
from registry_service.structure.result import Structure
from registry_service.structure.source import Source, corrupt, truncated

__all__ = ["check"]

SOI, EOI, SOS, APP1 = 0xD8, 0xD9, 0xDA, 0xE1
#: Start of frame: every process, of which decoders know the first group.
DECODABLE_FRAMES = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: More segments or scans than any encoder writes; each scan costs a pass over the picture.
MAX_SEGMENTS = 20_000
MAX_SCANS = 500
MAX_FILL_BYTES = 64 * 1024
EXIF = b"Exif\0\0"
MAX_EXIF_BYTES = 1024 * 1024
#: In entropy-coded data 0xFF is followed by 0 (stuffing), 0xFF (fill) or RST0-RST7.
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def check(source: Source, limits: Limits) -> Structure:
    """Walk from SOI to EOI; raises `Rejected` when that is not possible."""
    position, size, scans, exif = 2, None, 0, b""
    for _ in range(MAX_SEGMENTS):
        marker, position = _marker(source, position)
        if marker == EOI:
            break
        length = source.number(position, 2, "a segment")
        stop = position + length
        if length < 2:
            raise corrupt(f"segment FF{marker:02X} is {length} bytes long")
        source.need(stop, f"segment FF{marker:02X}")
        if marker in FRAMES:
            if size is not None:
                raise corrupt("it has two frame headers")
            size = _frame(source, position, length, marker)
            limits.check_size(*size)
        elif marker == APP1 and source.at(position + 2, min(6, length - 2)) == EXIF:
            exif = _joined(exif, source.at(position + 2, length - 2))
        elif marker == SOS:
            scans += 1
            if size is None or scans > MAX_SCANS:
                raise corrupt("a scan without a frame header" if size is None else "too many scans")
            stop = _end_of_scan(source, stop)
        position = stop
    else:
        raise corrupt("too many segments")
    if size is None or scans == 0:
        raise corrupt("it has no picture data")
    return Structure(media_type="image/jpeg", width=size[0], height=size[1], exif=exif or None)


def _marker(source: Source, position: int) -> tuple[int, int]:
    """Return the marker at `position` and where its segment starts; fill bytes are skipped."""
    if source.number(position, 1, "no end-of-image marker") != 0xFF:
        raise corrupt(f"no marker at byte {position}")
    limit = position + MAX_FILL_BYTES
    while (code := source.number(position, 1, "no end-of-image marker")) == 0xFF:
        position += 1
        if position > limit:
            raise corrupt("too many fill bytes")
    if code in (0x00, 0x01, SOI) or 0xD0 <= code <= 0xD7:
        raise corrupt(f"marker FF{code:02X} at byte {position - 1}")
    return code, position + 1


def _frame(source: Source, position: int, length: int, marker: int) -> tuple[int, int]:
    if length < 11:
        raise corrupt("the frame header is too short")
    head = source.at(position + 2, 6)
    precision, components = head[0], head[5]
    height, width = int.from_bytes(head[1:3], "big"), int.from_bytes(head[3:5], "big")
    if length != 8 + 3 * components or components not in (1, 3, 4):
        raise corrupt(f"the frame header declares {components} components")
    if marker not in DECODABLE_FRAMES or precision != 8:
        raise corrupt(f"JPEG process FF{marker:02X} with {precision} bits is not supported")
    if not width or not height:
        raise corrupt("the frame header declares no size")
    return width, height


def _joined(exif: bytes, segment: bytes) -> bytes:
    """Return EXIF that several segments carry, as Pillow joins it."""
    if exif and len(exif) < MAX_EXIF_BYTES:
        return exif + segment[len(EXIF) :]
    return exif or segment


def _end_of_scan(source: Source, position: int) -> int:
    """Return where the marker stands that ends the entropy-coded data at `position`."""
    begin = position
    while position + 1 < source.size:
        window, start = source.view(position, ahead=2)
        match = _MARKER_IN_SCAN.search(window, start)
        if match:
            position += match.start() - start
            if position == begin:
                raise corrupt("a scan without data")
            return position
        # a marker may straddle two windows: a last 0xFF is looked at again with the next one
        position += len(window) - start - window.endswith(b"\xff")
    raise truncated("no end-of-image marker")
