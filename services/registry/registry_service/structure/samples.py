"""Sample tables (ISO/IEC 14496-12, 8.5 to 8.7): the frames of an image sequence."""

from __future__ import annotations

from registry_service.structure.boxes import Box, Fields, boxes, child
from registry_service.structure.limits import Limits
from registry_service.structure.source import Source, corrupt, truncated

__all__ = ["frames_of"]

VISUAL = {b"pict", b"vide"}
MAX_TRACKS = 64


def frames_of(source: Source, moov: Box, limits: Limits) -> int:
    """Return the frames of the first visual track; raises `Rejected` where samples are missing."""
    frames: list[int] = []
    for box in boxes(source, moov.start, moov.stop):
        if box.kind != b"trak":
            continue
        if len(frames) >= MAX_TRACKS:
            raise corrupt("too many tracks")
        media = child(source, box, b"mdia")
        handler = Fields(source, child(source, media, b"hdlr"))
        handler.take(4)
        table = child(source, child(source, media, b"minf"), b"stbl")
        count = _check_samples(source, table, limits)
        if handler.raw(4) in VISUAL:
            frames.append(count)
    if not frames:
        raise corrupt("a movie without a visual track")
    return frames[0]


def _check_samples(source: Source, table: Box, limits: Limits) -> int:
    sizes = _sizes(source, child(source, table, b"stsz"), limits)
    chunks = _chunks(source, table)
    runs = _runs(source, child(source, table, b"stsc"))
    sample = 0
    for number, offset in enumerate(chunks, start=1):
        if runs and runs[0][0] <= number:
            per_chunk = runs.pop(0)[1]
        elif number == 1:
            raise corrupt("samples without a chunk")
        stop = offset + sum(sizes[sample : sample + per_chunk])
        if stop > source.size:
            raise truncated("a frame's data")
        sample += per_chunk
    if sample < len(sizes):
        raise corrupt("samples without a chunk")
    return len(sizes)


def _sizes(source: Source, stsz: Box, limits: Limits) -> list[int]:
    fields = Fields(source, stsz)
    same, count = fields.take(4), fields.take(4)
    limits.check_frames(count)
    if not count:
        raise corrupt("a track without samples")
    return [same] * count if same else [fields.take(4) for _ in range(count)]


def _chunks(source: Source, table: Box) -> list[int]:
    for box in boxes(source, table.start, table.stop):
        if box.kind in (b"stco", b"co64"):
            fields, width = Fields(source, box), 8 if box.kind == b"co64" else 4
            count = fields.take(4)
            if count * width > fields.left:
                raise corrupt("a chunk table that is too short")
            return [fields.take(width) for _ in range(count)]
    raise corrupt("a track without chunks")


def _runs(source: Source, stsc: Box) -> list[tuple[int, int]]:
    """Return (first chunk, samples per chunk) in order."""
    fields = Fields(source, stsc)
    count = fields.take(4)
    if count * 12 > fields.left:
        raise corrupt("a chunk run table that is too short")
    runs = []
    for _ in range(count):
        first, per_chunk, _ = (fields.take(4) for _ in range(3))
        runs.append((first, per_chunk))
    return runs
