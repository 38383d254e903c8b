"""The port through which services keep objects: one bucket at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Protocol

import msgspec

__all__ = ["CHUNK_BYTES", "NAME_BYTES", "Bucket", "ObjectInfo", "check_name", "clamp"]

#: Bytes per chunk: what NATS's own clients use.
CHUNK_BYTES = 128 * 1024
#: The longest name, in bytes of UTF-8: in base64 it is part of a NATS subject.
NAME_BYTES = 1024


class ObjectInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a bucket knows about an object.

    `nuid` names its chunks, `sequence` is the stream sequence of this description (it changes
    when the object is written again), `digest` is the SHA-256 of the bytes in hex, `metadata`
    what the writer wanted kept with it. `uniform`: every chunk but the last is known to be
    `chunk_bytes` long (other clients may write shorter ones).
    """

    bucket: str
    name: str
    nuid: str
    size: int
    chunks: int
    digest: str
    modified_at: datetime
    sequence: int
    deleted: bool = False
    chunk_bytes: int = CHUNK_BYTES
    uniform: bool = True
    metadata: dict[str, str] = {}


def check_name(name: str) -> None:
    """Raise `ValueError` unless `name` can be the name of an object."""
    if not 0 < len(name.encode()) <= NAME_BYTES:
        raise ValueError(f"an object's name has 1 to {NAME_BYTES} bytes: {name[:64]!r}")


def clamp(info: ObjectInfo, start: int, stop: int | None) -> tuple[int, int]:
    """Return the range of bytes `start` to `stop` within the object; `start` ≥ 0."""
    if start < 0 or (stop is not None and stop < 0):
        raise ValueError(f"a range of bytes is not counted from the end: {start} to {stop}")
    stop = info.size if stop is None else min(stop, info.size)
    return min(start, stop), stop


class Bucket(Protocol):
    """A bucket of objects. All calls raise `Unavailable` when the store does not answer."""

    @property
    def name(self) -> str:
        """The bucket's name: originals, renditions, variants, manifests."""

    async def put(
        self,
        name: str,
        data: bytes | AsyncIterator[bytes],
        *,
        metadata: Mapping[str, str] | None = None,
        digest: str | None = None,
    ) -> ObjectInfo:
        """Write an object, whole or not at all; an older one of that name is replaced.

        `digest`: the SHA-256 of the bytes in hex where it is known; it is then not computed
        again, and an object with a wrong one cannot be read. Pieces of any size may arrive. If
        it fails or is cancelled, nothing is left behind.
        Raises `StoreFull` when the bucket's limit is reached.
        """
        ...

    async def info(self, name: str) -> ObjectInfo | None:
        """Return what is known about the object, or None if there is none."""
        ...

    async def get(self, name: str) -> tuple[ObjectInfo, bytes]:
        """Return the whole object, its digest verified; raises `ObjectMissing`."""
        ...

    def read(
        self, info: ObjectInfo, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """Stream bytes `start` to `stop` (exclusive; None: the end) without reading the rest.

        A read of the whole object verifies its digest at the end. Raises `ObjectMissing` when
        the object was replaced, deleted or is incomplete, before or in the middle of it.
        """
        ...

    async def delete(self, info: ObjectInfo) -> bool:
        """Delete exactly this object; False if it was replaced or deleted in the meantime."""
        ...

    def watch(self, *, follow: bool = True) -> AsyncIterator[ObjectInfo | None]:
        """Yield every object now in the bucket, then None, then every change as it happens.

        Deletions come with `deleted=True`. With `follow=False` it ends where None would come.
        """
        ...
