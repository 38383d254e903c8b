"""AVIF (AV1 Image File Format 1.1 on HEIF, ISO/IEC 23008-12): boxes, items and samples.

Every extent of every item and every sample of an image sequence must lie in the file. Sizes
come from the properties of the primary item; frames from the sample table of the sequence.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from registry_service.structure.boxes import Box, Fields, boxes, child
from registry_service.structure.limits import Limits
from registry_service.structure.result import Structure
from registry_service.structure.samples import frames_of
from registry_service.structure.source import Source, corrupt, truncated

__all__ = ["check", "is_avif"]

BRANDS = {b"avif", b"avis"}
MAX_ITEMS = 4096
MAX_EXIF_BYTES = 1024 * 1024
#: (irot's angle, imir's axis or -1) → EXIF orientation.
ORIENTATIONS = {
    (0, -1): 1, (1, -1): 8, (2, -1): 3, (3, -1): 6,
    (0, 0): 4, (1, 0): 5, (2, 0): 2, (3, 0): 7,
    (0, 1): 2, (1, 1): 7, (2, 1): 4, (3, 1): 5,
}  # fmt: skip


class Item(msgspec.Struct):
    """A thing in the file: its four letters, its extents as (start, stop), its properties."""

    kind: bytes = b""
    extents: list[tuple[int, int]] = []
    properties: list[int] = []


def is_avif(head: bytes) -> bool:
    """Say whether `head`, the first bytes of a file, is a file type box with AVIF's brands."""
    if head[4:8] != b"ftyp":
        return False
    stop = min(len(head), int.from_bytes(head[:4], "big"))
    brands = {head[n : n + 4] for n in (8, *range(16, stop - 3, 4))}
    return bool(brands & BRANDS)


def check(source: Source, limits: Limits) -> Structure:
    """Check boxes, items and samples; raises `Rejected`."""
    top: dict[bytes, Box] = {}
    for box in boxes(source, 0, source.size):
        top.setdefault(box.kind, box)
    if b"meta" not in top:
        raise truncated("no meta box")
    meta = {box.kind: box for box in boxes(source, top[b"meta"].start + 4, top[b"meta"].stop)}
    for kind in (b"pitm", b"iinf", b"iloc", b"iprp"):
        if kind not in meta:
            raise corrupt(f"no {kind.decode()} box")
    items = _items(source, meta)
    primary = items.get(_primary(source, meta[b"pitm"]))
    if primary is None or not primary.extents:
        raise corrupt("no primary item")
    properties = list(_shared_properties(source, meta[b"iprp"]))
    for box in properties:
        if box.kind == b"ispe":
            limits.check_size(*_size(source, box))
    width, height, orientation = _shape(source, primary, properties)
    frames = frames_of(source, top[b"moov"], limits) if b"moov" in top else 1
    return Structure(
        media_type="image/avif",
        width=width,
        height=height,
        frames=frames,
        exif=_exif(source, items),
        orientation=orientation,
    )


def _shared_properties(source: Source, iprp: Box) -> Iterator[Box]:
    """Yield the properties that items share, in the order by which they are referred to."""
    ipco = child(source, iprp, b"ipco")
    return boxes(source, ipco.start, ipco.stop)


def _primary(source: Source, pitm: Box) -> int:
    fields = Fields(source, pitm)
    return fields.take(4 if fields.version else 2)


def _items(source: Source, meta: dict[bytes, Box]) -> dict[int, Item]:
    items = {number: Item(extents=extents) for number, extents in _locations(source, meta)}
    fields = Fields(source, meta[b"iinf"])
    count = fields.take(4 if fields.version else 2)
    if count > MAX_ITEMS:
        raise corrupt("too many items")
    start = meta[b"iinf"].start + (8 if fields.version else 6)
    for box in boxes(source, start, meta[b"iinf"].stop):
        entry = Fields(source, box)
        if box.kind == b"infe" and entry.version >= 2:
            number = entry.take(4 if entry.version == 3 else 2)
            entry.take(2)
            items.setdefault(number, Item()).kind = entry.raw(4)
    for number, indices in _associations(source, meta[b"iprp"]):
        items.setdefault(number, Item()).properties = indices
    return items


def _locations(
    source: Source, meta: dict[bytes, Box]
) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield items with their extents in the file, each verified (ISO/IEC 14496-12, 8.11.3)."""
    fields = Fields(source, meta[b"iloc"])
    widths = fields.take(2)
    offset_bytes, length_bytes, base_bytes, index_bytes = (widths >> n & 15 for n in (12, 8, 4, 0))
    count = fields.take(4 if fields.version == 2 else 2)
    if count > MAX_ITEMS or fields.version > 2:
        raise corrupt("no item locations that this version can read")
    for _ in range(count):
        number = fields.take(4 if fields.version == 2 else 2)
        method = fields.take(2) & 15 if fields.version else 0
        fields.take(2)
        base, extents = fields.take(base_bytes), []
        for _ in range(fields.take(2)):
            if fields.version and index_bytes:
                fields.take(index_bytes)
            start, length = base + fields.take(offset_bytes), fields.take(length_bytes)
            extents.append(_extent(source, meta, method, start, length))
            if len(extents) > MAX_ITEMS:
                raise corrupt("too many extents")
        yield number, extents


def _extent(
    source: Source, meta: dict[bytes, Box], method: int, start: int, length: int
) -> tuple[int, int]:
    first, end = 0, source.size
    if method == 1 and b"idat" in meta:
        first, end = meta[b"idat"].start, meta[b"idat"].stop
    elif method:
        raise corrupt("an item in a place that does not exist")
    stop = first + start + length if length else end
    if stop > end or first + start >= end:
        raise truncated("an item's data")
    return first + start, stop


def _associations(source: Source, iprp: Box) -> Iterator[tuple[int, list[int]]]:
    """Yield items with the indices of their properties, from 1 (ISO/IEC 23008-12, 9.3.1)."""
    fields = Fields(source, child(source, iprp, b"ipma"))
    wide = fields.flags & 1
    for _ in range(fields.take(4)):
        number = fields.take(4 if fields.version else 2)
        indices = [fields.take(2 if wide else 1) for _ in range(fields.take(1))]
        yield number, [index & (0x7FFF if wide else 0x7F) for index in indices]


def _properties(item: Item, properties: list[Box]) -> Iterator[Box]:
    for index in item.properties:
        if index > len(properties):
            raise corrupt("an item with a property that does not exist")
        if index:
            yield properties[index - 1]


def _size(source: Source, ispe: Box) -> tuple[int, int]:
    fields = Fields(source, ispe)
    return fields.take(4), fields.take(4)


def _shape(source: Source, item: Item, properties: list[Box]) -> tuple[int, int, int]:
    """Return width and height as coded, and the EXIF orientation that irot and imir mean."""
    width = height = angle = 0
    axis = -1
    for box in _properties(item, properties):
        if box.kind == b"ispe":
            width, height = _size(source, box)
        elif box.kind == b"irot":
            angle = source.number(box.start, 1) & 3
        elif box.kind == b"imir":
            axis = source.number(box.start, 1) & 1
    if not width or not height:
        raise corrupt("the primary item has no size")
    return width, height, ORIENTATIONS[angle, axis]


def _exif(source: Source, items: dict[int, Item]) -> bytes | None:
    """Return the payload of the first Exif item, after the offset to its TIFF header."""
    for item in items.values():
        total = sum(stop - start for start, stop in item.extents)
        if item.kind == b"Exif" and 4 < total <= MAX_EXIF_BYTES:
            data = b"".join(source.at(start, stop - start) for start, stop in item.extents)
            return data[4 + int.from_bytes(data[:4], "big") :] or None
    return None
