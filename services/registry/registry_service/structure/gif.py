"""GIF (87a and 89a): blocks and their sub-blocks to the trailer."""

from __future__ import annotations

from registry_service.structure.limits import Limits
from registry_service.structure.result import Structure
from registry_service.structure.source import Source, corrupt, truncated

__all__ = ["check"]

TRAILER, EXTENSION, IMAGE = 0x3B, 0x21, 0x2C
MAX_EXTENSIONS = 100_000


def check(source: Source, limits: Limits) -> Structure:
    """Walk to the trailer, counting frames; raises `Rejected`."""
    head = source.at(6, 7, "no screen descriptor")
    width, height = int.from_bytes(head[:2], "little"), int.from_bytes(head[2:4], "little")
    if not width or not height:
        raise corrupt("the screen descriptor declares no size")
    limits.check_size(width, height)
    position, frames, extensions = 13 + _table(head[4]), 0, 0
    while (kind := source.number(position, 1, "no trailer")) != TRAILER:
        if kind == IMAGE:
            frames += 1
            limits.check_frames(frames)
            position = _image(source, position + 1, limits)
        elif kind == EXTENSION and extensions < MAX_EXTENSIONS:
            extensions += 1
            position = _end_of_blocks(source, position + 2)
        else:
            raise corrupt(f"no block at byte {position}")
    if not frames:
        raise corrupt("it has no picture data")
    return Structure(media_type="image/gif", width=width, height=height, frames=frames)


def _table(flags: int) -> int:
    """Return the bytes of the colour table that `flags` announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _image(source: Source, position: int, limits: Limits) -> int:
    head = source.at(position, 9, "an image descriptor")
    width, height = int.from_bytes(head[4:6], "little"), int.from_bytes(head[6:8], "little")
    if not width or not height:
        raise corrupt("a frame has no size")
    limits.check_size(width, height)
    position += 9 + _table(head[8])
    if not 1 <= source.number(position, 1, "frame data") <= 11:
        raise corrupt("a frame with an impossible code size")
    return _end_of_blocks(source, position + 1)


def _end_of_blocks(source: Source, position: int) -> int:
    """Return where the chain of sub-blocks (length byte, data; 0 ends it) at `position` ends."""
    while position < source.size:
        window, begin = source.view(position)
        at, end = begin, len(window)
        while at < end:
            length = window[at]
            at += 1
            if not length:
                return position + at - begin
            at += length
        position += at - begin
    raise truncated("data blocks")
