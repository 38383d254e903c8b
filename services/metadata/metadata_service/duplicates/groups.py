"""Groups of duplicates: what is the same to the byte, and what looks the same.

Two pictures belong together when their bytes are the same, or when their perceptual hashes differ
in few bits and, where both have a vector of one model, those are near. A group is all that hang
together that way. So groups depend on what there is, not on the order in which it came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Literal

import msgspec
import numpy as np

from metadata_service.duplicates.hashes import MultiIndex
from metadata_service.similarity.gallery import Gallery
from metadata_service.similarity.looks import Change, Look

__all__ = ["Duplicates", "Group"]


class Group(msgspec.Struct, eq=False):
    """Two pictures or more. `root`: uploaded first, `keeper`: the best of them."""

    members: set[str]
    root: str
    keeper: str


class Filed(msgspec.Struct, frozen=True):
    """Under what a picture was filed."""

    sha256: str
    phash: int | None


class Duplicates:
    """The groups of all pictures, kept up as looks change.

    What comes new joins what is there; when something that was in a group changes or goes, the
    rest of that group is sorted again. `unsaid` has those about whom something else was said.
    """

    def __init__(self, gallery: Gallery, *, distance: int, cosine: float) -> None:
        self._gallery = gallery
        self._looks = gallery.looks.by_id
        self._cosine = cosine
        self._hashes = MultiIndex(distance)
        self._bytes: dict[str, set[str]] = {}
        self._filed: dict[str, Filed] = {}
        self._groups: dict[str, Group] = {}
        self._dirty: set[str] = set()
        self.unsaid: set[str] = set()
        self.news = asyncio.Event()
        #: Held while groups are sorted: what is read meanwhile is half sorted.
        self.sorting = asyncio.Lock()

    def hear(self, change: Change) -> None:
        """Remember that a picture changed."""
        if change.look:
            self._dirty.add(change.image_id)
        else:
            self.compare(change.image_id)

    async def settle(self) -> None:
        """Sort what changed since. Nothing may be taken into the gallery meanwhile."""
        if self._dirty:
            dirty, self._dirty = self._dirty, set()
            async with self.sorting:
                await asyncio.to_thread(self.sort, dirty)
        if self.unsaid:
            self.news.set()

    def group_of(self, image_id: str) -> Group | None:
        """Return the group of a picture, None where it is alone."""
        return self._groups.get(image_id)

    def groups(self) -> list[tuple[int, Group]]:
        """Return all groups with the sequence of their root's upload, the latest first."""
        every = {id(group): group for group in self._groups.values()}
        placed = [(self._looks[group.root].uploaded, group) for group in every.values()]
        return sorted(placed, key=lambda each: -each[0])

    def has(self, group: Group, kind: Literal["exact", "near"]) -> bool:
        """Say whether some of a group have the same bytes, or some have others."""
        different = len({self._looks[name].sha256 for name in group.members})
        return different < len(group.members) if kind == "exact" else different > 1

    def wanted(self, image_id: str) -> tuple[str | None, str | None]:
        """Return what is to be said of a picture: group and keeper."""
        group = self._groups.get(image_id)
        return (group.root, group.keeper) if group else (None, None)

    def distance(self, one: str, two: str) -> int | None:
        """Return in how many bits the hashes of two pictures differ."""
        a, b = self._looks[one].phash, self._looks[two].phash
        return None if a is None or b is None else (a ^ b).bit_count()

    def cosine(self, one: str, two: str) -> float | None:
        """Return the cosine of two pictures; None where their vectors cannot be compared."""
        a, b = self._gallery.vector(one), self._gallery.vector(two)
        return float(a[1] @ b[1]) if a and b and a[0] == b[0] else None

    def sort(self, dirty: Iterable[str]) -> None:
        """Put pictures that changed where they belong now."""
        scattered: set[str] = set()
        for image_id in dirty:
            group = self._groups.get(image_id)
            if group is not None:
                scattered |= group.members
            scattered.add(image_id)
            self._file(image_id)
        for image_id in scattered:
            self._groups.pop(image_id, None)
        for image_id in scattered:
            if image_id in self._filed:
                self._join(image_id)
        for image_id in scattered:
            self.compare(image_id)

    def _file(self, image_id: str) -> None:
        look, before = self._looks[image_id], self._filed.pop(image_id, None)
        if before is not None:
            held = self._bytes[before.sha256]
            held.remove(image_id)
            if not held:
                del self._bytes[before.sha256]
            if before.phash is not None:
                self._hashes.remove(before.phash, image_id)
        if look.exists:
            self._filed[image_id] = Filed(look.sha256, look.phash)
            self._bytes.setdefault(look.sha256, set()).add(image_id)
            if look.phash is not None:
                self._hashes.add(look.phash, image_id)

    def _join(self, image_id: str) -> None:
        """Make one group of the picture, its neighbours, and all that they hang together with."""
        near = self._neighbours(image_id)
        if not near:
            return
        found = {id(g): g for name in near if (g := self._groups.get(name)) is not None}
        parts = sorted(found.values(), key=lambda each: len(each.members))
        own = self._groups.get(image_id)
        if parts == [own] and own is not None:
            return
        if own is not None and id(own) not in found:
            parts.append(own)
            parts.sort(key=lambda each: len(each.members))
        group = parts.pop() if parts else Group({image_id}, image_id, image_id)
        roots, keepers = [group.root], [group.keeper]
        joining = {image_id, *near}.union(*(part.members for part in parts)) - group.members
        alone = {image_id, *near} - group.members
        roots += [part.root for part in parts] + list(alone)
        keepers += [part.keeper for part in parts] + list(alone)
        group.members |= joining
        for name in joining | {image_id}:
            self._groups[name] = group
        root = min(roots, key=lambda name: self._looks[name].uploaded)
        keeper = max(keepers, key=lambda name: _worth(self._looks[name]))
        touched = joining | {image_id}
        if (root, keeper) != (group.root, group.keeper):
            group.root, group.keeper = root, keeper
            touched = group.members
        for name in touched:
            self.compare(name)

    def _neighbours(self, image_id: str) -> set[str]:
        filed = self._filed[image_id]
        near = set(self._bytes[filed.sha256])
        if filed.phash is not None:
            near |= self._confirmed(image_id, set(self._hashes.near(filed.phash)) - near)
        near.discard(image_id)
        return near

    def _confirmed(self, image_id: str, candidates: set[str]) -> set[str]:
        """Return those of the candidates that are near by their vectors, or cannot be compared."""
        own = self._gallery.vector(image_id)
        if own is None:
            return candidates
        space, vector = own
        rows = self._gallery.collection(space).rows
        comparable = {
            name: row
            for name in candidates
            if self._looks[name].space == space and (row := rows.row_of(name)) is not None
        }
        if not comparable:
            return candidates
        names = list(comparable)
        cosines = rows.vectors(np.array([comparable[name] for name in names])) @ vector
        far = {names[place] for place in np.flatnonzero(cosines < self._cosine).tolist()}
        return candidates - far

    def compare(self, image_id: str) -> None:
        """Note whether what was said of a picture is what is to be said."""
        look = self._looks[image_id]
        if look.exists and (look.group, look.keeper) != self.wanted(image_id):
            self.unsaid.add(image_id)
        else:
            self.unsaid.discard(image_id)


def _worth(look: Look) -> tuple[int, float, int, int]:
    """Return what is kept of duplicates: most pixels, sharpest, most bytes, uploaded first."""
    return look.pixels, look.sharpness, look.size_bytes, -look.uploaded
