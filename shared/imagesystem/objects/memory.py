"""The in-memory twin of a bucket: the same answers, no server. For tests."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping

import msgspec

from imagesystem import ids
from imagesystem.errors import ObjectMissing, StoreFull, Unavailable
from imagesystem.objects.pieces import rechunk, whole
from imagesystem.objects.port import CHUNK_BYTES, ObjectInfo, check_name, clamp

__all__ = ["MemoryBucket"]


class MemoryBucket:
    """Objects in a dictionary.

    `max_bytes` (-1: none) is the limit of all objects together; when it is reached, a `cache`
    drops its oldest objects and any other bucket refuses. `down` makes every call raise
    `Unavailable`, as a stopped server would.
    """

    def __init__(self, name: str, *, max_bytes: int = -1, cache: bool = False) -> None:
        self._name = name
        self.max_bytes = max_bytes
        self.cache = cache
        self.down = False
        self.sequence = 0
        self._infos: dict[str, ObjectInfo] = {}
        self._chunks: dict[str, list[bytes]] = {}
        self._watchers: set[asyncio.Queue[ObjectInfo]] = set()

    @property
    def name(self) -> str:
        """See `Bucket.name`."""
        return self._name

    @property
    def used_bytes(self) -> int:
        """Bytes of all the chunks held, whether an object names them or not."""
        return sum(len(chunk) for chunks in self._chunks.values() for chunk in chunks)

    def _check(self) -> None:
        if self.down:
            raise Unavailable("objects", f"the in-memory bucket {self._name} is down")

    async def put(
        self,
        name: str,
        data: bytes | AsyncIterator[bytes],
        *,
        metadata: Mapping[str, str] | None = None,
        digest: str | None = None,
    ) -> ObjectInfo:
        """See `Bucket.put`."""
        check_name(name)
        self._check()
        nuid, hashed = ids.new_id(), hashlib.sha256()
        chunks = self._chunks[nuid] = []
        source = whole(data) if isinstance(data, bytes) else data
        try:
            async for chunk in rechunk(source, CHUNK_BYTES):
                self._check()
                self._make_room(len(chunk), nuid)
                hashed.update(chunk)
                chunks.append(bytes(chunk))
                await asyncio.sleep(0)
        except BaseException:
            del self._chunks[nuid]
            raise
        return self._describe(
            ObjectInfo(
                bucket=self._name,
                name=name,
                nuid=nuid,
                size=sum(map(len, chunks)),
                chunks=len(chunks),
                digest=digest or hashed.hexdigest(),
                modified_at=ids.now(),
                sequence=self.sequence + 1,
                metadata=dict(metadata or {}),
            )
        )

    def _make_room(self, size: int, writing: str) -> None:
        while 0 <= self.max_bytes < self.used_bytes + size:
            oldest = next((nuid for nuid in self._chunks if nuid != writing), None)
            if not self.cache or oldest is None:
                raise StoreFull(f"bucket {self._name} is full ({self.max_bytes} bytes)")
            del self._chunks[oldest]

    def _describe(self, info: ObjectInfo) -> ObjectInfo:
        replaced = self._infos.get(info.name)
        self.sequence = info.sequence
        self._infos[info.name] = info
        if replaced is not None and (info.deleted or replaced.nuid != info.nuid):
            self._chunks.pop(replaced.nuid, None)
        for watcher in self._watchers:
            watcher.put_nowait(info)
        return info

    async def info(self, name: str) -> ObjectInfo | None:
        """See `Bucket.info`."""
        self._check()
        info = self._infos.get(name)
        return None if info is None or info.deleted else info

    async def get(self, name: str) -> tuple[ObjectInfo, bytes]:
        """See `Bucket.get`."""
        info = await self.info(name)
        if info is None:
            raise ObjectMissing(f"bucket {self._name} holds no {name!r}")
        return info, b"".join([piece async for piece in self.read(info)])

    async def read(
        self, info: ObjectInfo, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """See `Bucket.read`."""
        start, stop = clamp(info, start, stop)
        position = 0
        for index in range(info.chunks):
            self._check()
            chunks = self._chunks.get(info.nuid)
            if chunks is None or len(chunks) != info.chunks:
                raise ObjectMissing(f"{info.name!r} in bucket {self._name} is gone")
            first, last = max(start - position, 0), stop - position
            position += len(chunks[index])
            if last > 0 and (piece := chunks[index][first:last]):
                yield piece
                await asyncio.sleep(0)
        if info.chunks and info.nuid not in self._chunks:
            raise ObjectMissing(f"{info.name!r} in bucket {self._name} is gone")
        if (start, stop) == (0, info.size):
            digest = hashlib.sha256(b"".join(self._chunks.get(info.nuid, []))).hexdigest()
            if digest != info.digest:
                raise ObjectMissing(f"{info.name!r} is corrupt", code="object_corrupt")

    async def delete(self, info: ObjectInfo) -> bool:
        """See `Bucket.delete`."""
        self._check()
        held = self._infos.get(info.name)
        if held is None or held.deleted or held.sequence != info.sequence:
            return False
        self._describe(
            msgspec.structs.replace(
                held,
                size=0,
                chunks=0,
                digest="",
                modified_at=ids.now(),
                sequence=self.sequence + 1,
                deleted=True,
            )
        )
        return True

    async def watch(self, *, follow: bool = True) -> AsyncIterator[ObjectInfo | None]:
        """See `Bucket.watch`."""
        self._check()
        changes: asyncio.Queue[ObjectInfo] = asyncio.Queue()
        self._watchers.add(changes)
        try:
            for info in sorted(self._infos.values(), key=lambda held: held.sequence):
                if not info.deleted:
                    yield info
            if not follow:
                return
            yield None
            while True:
                yield await changes.get()
        finally:
            self._watchers.discard(changes)
