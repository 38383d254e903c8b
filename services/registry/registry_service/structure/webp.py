"""WebP (RFC 9649): RIFF chunks, the frame headers in them, and the frames of an animation."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from registry_service.structure.limits import Limits
from registry_service.structure.result import Structure
from registry_service.structure.source import Source, corrupt, truncated

__all__ = ["check"]

LOSSY, LOSSLESS, EXTENDED = b"VP8 ", b"VP8L", b"VP8X"
ANIMATION_FLAG = 0x02
MAX_CHUNKS = 10_000
MAX_EXIF_BYTES = 1024 * 1024


class Chunk(msgspec.Struct, frozen=True):
    """A RIFF chunk: its four letters, where its payload starts, and its length."""

    kind: bytes
    start: int
    length: int


def check(source: Source, limits: Limits) -> Structure:
    """Walk the chunks to the end that the RIFF header declares; raises `Rejected`."""
    stop = 8 + int.from_bytes(source.at(4, 4, "the RIFF header"), "little")
    source.need(stop, "chunks")
    chunks = list(_chunks(source, 12, stop))
    if not chunks:
        raise truncated("no picture data")
    first = chunks[0]
    if first.kind in (LOSSY, LOSSLESS):
        width, height = _bitstream(source, first)
        limits.check_size(width, height)
        return Structure(media_type="image/webp", width=width, height=height)
    if first.kind != EXTENDED or first.length < 10:
        raise corrupt("the first chunk is none of VP8, VP8L and VP8X")
    return _extended(source, chunks, limits)


def _chunks(source: Source, start: int, stop: int) -> Iterator[Chunk]:
    for _ in range(MAX_CHUNKS):
        if start == stop:
            return
        if start + 8 > stop:
            raise truncated("a chunk header")
        head = source.at(start, 8)
        chunk = Chunk(head[:4], start + 8, int.from_bytes(head[4:], "little"))
        start = chunk.start + chunk.length + chunk.length % 2
        if start > stop:
            raise truncated(f"chunk {chunk.kind.decode('latin-1')!r}")
        yield chunk
    raise corrupt("too many chunks")


def _extended(source: Source, chunks: list[Chunk], limits: Limits) -> Structure:
    head = source.at(chunks[0].start, 10)
    width, height = _size24(head[4:])
    limits.check_size(width, height)
    animated = bool(head[0] & ANIMATION_FLAG)
    pictures, frames, exif = [], 0, None
    for chunk in chunks[1:]:
        if chunk.kind in (LOSSY, LOSSLESS):
            pictures.append(_bitstream(source, chunk))
        elif chunk.kind == b"ANMF":
            frames += 1
            limits.check_frames(frames)
            _frame(source, chunk, width, height)
        elif chunk.kind == b"EXIF" and exif is None and chunk.length <= MAX_EXIF_BYTES:
            exif = source.at(chunk.start, chunk.length)
    if animated and (not frames or pictures):
        raise corrupt("an animation without frames" if not frames else "a picture between frames")
    if not animated and (frames or pictures != [(width, height)]):
        raise corrupt("it does not hold exactly one picture of the size it declares")
    return Structure(
        media_type="image/webp", width=width, height=height, frames=max(1, frames), exif=exif
    )


def _frame(source: Source, chunk: Chunk, width: int, height: int) -> None:
    if chunk.length < 16:
        raise corrupt("a frame header is too short")
    head = source.at(chunk.start, 16)
    x, y = 2 * int.from_bytes(head[:3], "little"), 2 * int.from_bytes(head[3:6], "little")
    w, h = _size24(head[6:])
    if x + w > width or y + h > height:
        raise corrupt("a frame lies outside the picture")
    parts = _chunks(source, chunk.start + 16, chunk.start + chunk.length)
    if [_bitstream(source, part) for part in parts if part.kind in (LOSSY, LOSSLESS)] != [(w, h)]:
        raise corrupt("a frame does not hold exactly one picture of the size it declares")


def _size24(data: bytes) -> tuple[int, int]:
    return int.from_bytes(data[:3], "little") + 1, int.from_bytes(data[3:6], "little") + 1


def _bitstream(source: Source, chunk: Chunk) -> tuple[int, int]:
    """Return width and height of a VP8 (RFC 6386, 9.1) or VP8L (RFC 9649, 3.4) stream."""
    if chunk.length < 10 if chunk.kind == LOSSY else chunk.length < 5:
        raise corrupt("a picture's header is too short")
    if chunk.kind == LOSSY:
        head = source.at(chunk.start, 10)
        tag = int.from_bytes(head[:3], "little")
        width, height = (int.from_bytes(head[n : n + 2], "little") & 0x3FFF for n in (6, 8))
        if tag & 1 or head[3:6] != b"\x9d\x01\x2a" or not width or not height:
            raise corrupt("no VP8 key frame")
        if 10 + (tag >> 5) > chunk.length:
            raise truncated("the first partition")
        return width, height
    head = source.at(chunk.start, 5)
    bits = int.from_bytes(head[1:], "little")
    if head[0] != 0x2F or bits >> 29:
        raise corrupt("no VP8L stream")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
