"""A bucket that counts its bytes, times its calls and has spans for them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager

from imagesystem import tracing
from imagesystem.errors import ObjectMissing
from imagesystem.metrics import Metrics
from imagesystem.objects.port import Bucket, ObjectInfo
from imagesystem.tracing import Attributes, Span

__all__ = ["ObservedBucket"]


class ObservedBucket:
    """The `Bucket` port around another implementation of it."""

    def __init__(self, bucket: Bucket, measures: Metrics) -> None:
        self._bucket = bucket
        self._read = measures.objects_read.labels(bucket.name)
        self._written = measures.objects_written.labels(bucket.name)
        self._seconds = {
            operation: measures.object_seconds.labels(bucket.name, operation)
            for operation in ("put", "get", "info", "delete")
        }

    @property
    def name(self) -> str:
        """See `Bucket.name`."""
        return self._bucket.name

    async def put(
        self,
        name: str,
        data: bytes | AsyncIterator[bytes],
        *,
        metadata: Mapping[str, str] | None = None,
        digest: str | None = None,
    ) -> ObjectInfo:
        """See `Bucket.put`."""
        with self._observed("put", name) as span:
            info = await self._bucket.put(name, data, metadata=metadata, digest=digest)
            span.set({"imagesystem.object.size": info.size})
        self._written.inc(info.size)
        return info

    async def info(self, name: str) -> ObjectInfo | None:
        """See `Bucket.info`."""
        with self._observed("info", name):
            return await self._bucket.info(name)

    async def get(self, name: str) -> tuple[ObjectInfo, bytes]:
        """See `Bucket.get`."""
        with self._observed("get", name) as span:
            info, data = await self._bucket.get(name)
            span.set({"imagesystem.object.size": len(data)})
        self._read.inc(len(data))
        return info, data

    async def read(
        self, info: ObjectInfo, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """See `Bucket.read`; recorded when it ends, as long as whoever reads took for it."""
        began, size, above = time.perf_counter(), 0, tracing.here()
        try:
            async for piece in self._bucket.read(info, start, stop):
                size += len(piece)
                yield piece
        finally:
            self._read.inc(size)
            seconds = time.perf_counter() - began
            self._seconds["get"].observe(seconds)
            if above is not None:
                what = {**self._what("get", info.name), "imagesystem.object.size": size}
                tracing.record(
                    f"get {self.name}", seconds, above=above, kind="client", attributes=what
                )

    async def delete(self, info: ObjectInfo) -> bool:
        """See `Bucket.delete`."""
        with self._observed("delete", info.name):
            return await self._bucket.delete(info)

    def watch(self, *, follow: bool = True) -> AsyncIterator[ObjectInfo | None]:
        """See `Bucket.watch`."""
        return self._bucket.watch(follow=follow)

    @contextmanager
    def _observed(self, operation: str, name: str) -> Iterator[Span]:
        what, missing = self._what(operation, name), None
        with (
            self._seconds[operation].time(),
            tracing.span(f"{operation} {self.name}", "client", what) as span,
        ):
            try:
                yield span
            except ObjectMissing as error:  # an answer, not a failure
                span.set({"imagesystem.object.missing": True})
                missing = error
        if missing is not None:
            raise missing

    def _what(self, operation: str, name: str) -> Attributes:
        return {
            "db.system.name": "nats",
            "db.collection.name": self.name,
            "db.operation.name": operation,
            "imagesystem.object.name": name,
        }
