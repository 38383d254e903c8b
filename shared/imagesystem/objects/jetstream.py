"""A bucket on NATS JetStream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from nats.aio.client import Client

from imagesystem.errors import ObjectMissing
from imagesystem.objects.credit import Credit
from imagesystem.objects.inbox import Inbox
from imagesystem.objects.layout import Layout, stream_config
from imagesystem.objects.port import ObjectInfo
from imagesystem.objects.reading import Reader
from imagesystem.objects.watching import watch
from imagesystem.objects.writing import Writer

__all__ = ["JetStreamBucket", "stream_config"]

#: Bytes that may be asked for and not yet received, over all reads of a bucket.
READ_CREDIT = 8 * 1024**2
#: Bytes that may be published and not yet confirmed, over all writes to a bucket.
WRITE_CREDIT = 4 * 1024**2


class JetStreamBucket:
    """The `Bucket` port on a connection; the stream must exist (`layout.stream_config`).

    The client is the caller's, connected and closed by it. `replicas` is that of the stream:
    with more than one, what a replica does not have yet is asked of the leader.
    """

    def __init__(self, client: Client, name: str, *, replicas: int = 1) -> None:
        self._name = name
        self._layout = Layout(name)
        self._inbox = Inbox(client)
        self._reader = Reader(self._inbox, self._layout, Credit(READ_CREDIT), replicas)
        self._writer = Writer(self._inbox, self._layout, Credit(WRITE_CREDIT), self._reader)

    @property
    def name(self) -> str:
        """See `Bucket.name`."""
        return self._name

    async def put(
        self,
        name: str,
        data: bytes | AsyncIterator[bytes],
        *,
        metadata: Mapping[str, str] | None = None,
        digest: str | None = None,
    ) -> ObjectInfo:
        """See `Bucket.put`."""
        return await self._writer.put(name, data, metadata, digest)

    async def info(self, name: str) -> ObjectInfo | None:
        """See `Bucket.info`."""
        return await self._reader.info(name)

    async def get(self, name: str) -> tuple[ObjectInfo, bytes]:
        """See `Bucket.get`; an object that is replaced meanwhile is read again."""
        info = await self._reader.info(name)
        while info is not None:
            try:
                return info, await self._reader.whole(info)
            except ObjectMissing:
                newer = await self._reader.info(name)
                if newer is not None and newer.nuid == info.nuid:
                    raise
                info = newer
        raise ObjectMissing(f"bucket {self._name} holds no {name!r}")

    def read(
        self, info: ObjectInfo, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """See `Bucket.read`."""
        return self._reader.read(info, start, stop)

    async def delete(self, info: ObjectInfo) -> bool:
        """See `Bucket.delete`."""
        return await self._writer.delete(info)

    def watch(self, *, follow: bool = True) -> AsyncIterator[ObjectInfo | None]:
        """See `Bucket.watch`."""
        return watch(self._inbox, self._layout, follow=follow)

    async def settled(self) -> None:
        """Wait for cleanups whose callers were cancelled; before the client is closed."""
        await self._writer.settled()
