"""What is known of every picture's looks: pure, and the same in whatever order facts arrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from imagesystem.bus import Received
from imagesystem.events import (
    AnalysisInferred,
    Deleted,
    EmbeddingInferred,
    Fact,
    Grouped,
    Uploaded,
)

from metadata_service.similarity.vectors import Space, Vector, vector_of

__all__ = ["PATTERNS", "Change", "Look", "Looks", "phash_of"]

#: What `Looks` goes by; uploads first, so that what they begin is known when it is spoken of.
PATTERNS = (
    "images.v1.*.uploaded",
    "images.v1.*.deleted",
    "images.v1.*.inferred.analysis",
    "images.v1.*.inferred.embedding",
    "images.v1.*.grouped.duplicates",
)


class Look(msgspec.Struct, kw_only=True, gc=False):
    """One picture: sequences of the facts that count, and what they say.

    `phash`: 64 bits (see `Analysis`); `pixels`, `size_bytes`, `sharpness`: what is kept of
    duplicates goes by them; `group`, `keeper`: what was last said of its duplicates.
    """

    uploaded: int = 0
    deleted: int = 0
    analysis: int = 0
    embedding: int = 0
    grouped: int = 0
    sha256: str = ""
    pixels: int = 0
    size_bytes: int = 0
    phash: int | None = None
    sharpness: float = 0.0
    space: Space | None = None
    group: str | None = None
    keeper: str | None = None

    @property
    def exists(self) -> bool:
        """Whether it was uploaded, and not deleted since."""
        return self.uploaded > self.deleted


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a fact changed: a vector that came (`vector`) in `space`, or went (`gone`).

    `look`: how the picture looks, or whether it is there; not what was said of its duplicates.
    """

    image_id: str
    space: Space | None = None
    vector: Vector | None = None
    gone: Space | None = None
    look: bool = True


class Looks:
    """The looks of all pictures, by image id."""

    def __init__(self) -> None:
        self.by_id: dict[str, Look] = {}

    def take(self, received: Received[Fact]) -> Change | None:
        """Take a fact; None if it changes nothing."""
        fact, sequence = received.event, received.sequence
        look = self.by_id.get(fact.image_id)
        if look is None:
            look = self.by_id[fact.image_id] = Look()
        if isinstance(fact, Deleted):
            if sequence <= look.deleted:
                return None
            look.deleted = sequence
            return _pruned(fact.image_id, look)
        take = _TAKE.get(type(fact))
        if take is None or sequence <= look.deleted:
            return None
        if not isinstance(fact, Uploaded) and sequence <= look.uploaded:
            return None
        return take(look, fact, sequence)

    def remember(self, image_id: str, space: Space, sequence: int) -> None:
        """Take a vector that was kept in a file: its space, and the sequence of its fact."""
        look = self.by_id.setdefault(image_id, Look())
        look.space, look.embedding = space, sequence


def _take_uploaded(look: Look, fact: Uploaded, sequence: int) -> Change | None:
    if sequence <= look.uploaded:
        return None
    look.uploaded, look.sha256, look.size_bytes = sequence, fact.sha256, fact.size_bytes
    look.pixels = fact.width * fact.height
    return _pruned(fact.image_id, look)


def _take_analysis(look: Look, fact: AnalysisInferred, sequence: int) -> Change | None:
    if sequence <= look.analysis:
        return None
    look.analysis, look.sharpness = sequence, fact.result.sharpness
    look.phash = phash_of(fact.result.phash)
    return Change(image_id=fact.image_id)


def _take_embedding(look: Look, fact: EmbeddingInferred, sequence: int) -> Change | None:
    if sequence <= look.embedding:
        return None
    before, found = look.space, vector_of(fact)
    look.embedding = sequence
    look.space, vector = found or (None, None)
    gone = before if before != look.space else None
    return Change(image_id=fact.image_id, space=look.space, vector=vector, gone=gone)


def _take_grouped(look: Look, fact: Grouped, sequence: int) -> Change | None:
    if sequence <= look.grouped:
        return None
    look.grouped, look.group, look.keeper = sequence, fact.group, fact.keeper
    return Change(image_id=fact.image_id, look=False)


_TAKE: dict[type[Fact], Callable[[Look, Any, int], Change | None]] = {
    Uploaded: _take_uploaded,
    AnalysisInferred: _take_analysis,
    EmbeddingInferred: _take_embedding,
    Grouped: _take_grouped,
}


def _pruned(image_id: str, look: Look) -> Change:
    """Forget what is about the life before."""
    floor, gone = max(look.uploaded, look.deleted), None
    if look.analysis <= floor:
        look.analysis, look.phash, look.sharpness = 0, None, 0.0
    if look.embedding <= floor:
        gone, look.space, look.embedding = look.space, None, 0
    if look.grouped <= floor:
        look.group, look.keeper = None, None
    return Change(image_id=image_id, gone=gone)


def phash_of(text: str) -> int | None:
    """Return the perceptual hash in hex as a number; None for what is not one of 64 bits."""
    try:
        return int(text, 16) if len(text) == 16 else None
    except ValueError:
        return None
