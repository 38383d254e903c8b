"""TIFF (6.0 and BigTIFF): directories, and that everything they point at lies in the file.

Every value, strip and tile must be inside, so that a file cut anywhere in them is found. Bytes
that nothing points at are ignored, as by every decoder.
"""

from __future__ import annotations

from operator import add

from registry_service.structure.ifd import Directory, Layout
from registry_service.structure.limits import Limits
from registry_service.structure.result import Structure
from registry_service.structure.source import Source, corrupt, truncated

__all__ = ["check"]

WIDTH, HEIGHT, COMPRESSION = 0x100, 0x101, 0x103
#: (offsets, byte counts): strips and tiles.
SEGMENTS = ((0x111, 0x117), (0x144, 0x145))
OLD_JPEG = (0x201, 0x202)
SUB_IFDS, EXIF_IFD, GPS_IFD, INTEROP_IFD = 0x14A, 0x8769, 0x8825, 0xA005
CHILDREN = (SUB_IFDS, EXIF_IFD, GPS_IFD, INTEROP_IFD)
MAX_CHILDREN = 64
#: Strips and tiles of all pages together: each costs time to check.
MAX_SEGMENTS = 1_000_000


class _Walk:
    """One pass over all directories: what was seen, and what may still be read."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self.source, self.limits = source, limits
        self.layout = Layout.of(source)
        self.seen: set[int] = set()
        self.segments = MAX_SEGMENTS

    def directory(self, offset: int) -> Directory:
        if offset in self.seen:
            raise corrupt("directories form a loop")
        self.seen.add(offset)
        directory = self.layout.directory(self.source, offset)
        total = 0
        for entry in directory.entries.values():
            self.source.need(entry.offset + entry.size, f"field {entry.tag}")
            total += entry.size
        # decoders load every value: fields that share bytes would multiply the file in memory
        if total > self.source.size:
            raise corrupt("fields overlap")
        return directory

    def children(self, directory: Directory) -> None:
        """Visit the directories below a page (EXIF, GPS, reduced pictures)."""
        pending = [directory]
        while pending:
            entries = pending.pop().entries
            for tag in CHILDREN:
                if tag not in entries or not entries[tag].size:
                    continue
                for offset in self.layout.integers(self.source, entries[tag], MAX_CHILDREN):
                    if len(self.seen) > self.limits.max_frames + 10 * MAX_CHILDREN:
                        raise corrupt("too many directories")
                    pending.append(self.directory(offset))

    def size(self, directory: Directory) -> tuple[int, int]:
        width, height = (self._one(directory, tag) for tag in (WIDTH, HEIGHT))
        if not width or not height or width < 0 or height < 0:
            raise corrupt("a page declares no size")
        self.limits.check_size(width, height)
        return width, height

    def pixels(self, directory: Directory) -> None:
        """Check that every strip or tile of a page lies in the file."""
        entries = directory.entries
        for offsets_tag, counts_tag in SEGMENTS:
            if offsets_tag not in entries:
                continue
            offsets = self._numbers(directory, offsets_tag)
            if counts_tag not in entries and len(offsets) == 1:
                self.source.need(offsets[0] + 1, "picture data")
                return  # old writers leave the length of a single strip out
            counts = self._numbers(directory, counts_tag) if counts_tag in entries else ()
            if len(offsets) != len(counts) or not offsets:
                raise corrupt("as many offsets as lengths are needed")
            if min(offsets) < 0 or min(counts) < 0:
                raise corrupt("a negative offset")
            if max(map(add, offsets, counts)) > self.source.size:
                raise truncated("picture data")
            return
        raise corrupt("a page without picture data")

    def _numbers(self, directory: Directory, tag: int) -> tuple[int, ...]:
        values = self.layout.integers(self.source, directory.entries[tag], self.segments)
        self.segments -= len(values)
        return values

    def _one(self, directory: Directory, tag: int) -> int:
        if tag not in directory.entries:
            return 0
        values = self.layout.integers(self.source, directory.entries[tag], 1)
        return values[0] if values else 0


def check(source: Source, limits: Limits) -> Structure:
    """Walk the pages; `frames` is their number, the size is the first one's."""
    walk = _Walk(source, limits)
    sizes: list[tuple[int, int]] = []
    offset = walk.layout.first
    while offset:
        directory = walk.directory(offset)
        limits.check_frames(len(sizes) + 1)
        sizes.append(walk.size(directory))
        walk.pixels(directory)
        walk.children(directory)
        offset = directory.next
    if not sizes:
        raise corrupt("it has no pages")
    return Structure(
        media_type="image/tiff", width=sizes[0][0], height=sizes[0][1], frames=len(sizes)
    )
