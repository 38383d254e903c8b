"""Reading objects: descriptions by direct get, bytes in batches, whole or in ranges."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import msgspec

from imagesystem.errors import ObjectMissing, Unavailable
from imagesystem.objects.answers import status_of
from imagesystem.objects.batches import Batch, Batches, missing
from imagesystem.objects.credit import Credit
from imagesystem.objects.inbox import Inbox
from imagesystem.objects.layout import Layout, decode_info
from imagesystem.objects.port import ObjectInfo, clamp

__all__ = ["Reader"]

#: Bytes of one batch; the next one is fetched while it is used.
BATCH_BYTES = 1024**2
#: Bytes from which hashing in a thread costs less than it keeps the event loop waiting.
THREAD_BYTES = 512 * 1024


class Reader:
    """Reads of one bucket. With `replicas`, what a replica lacks is asked of the leader."""

    def __init__(self, inbox: Inbox, layout: Layout, credit: Credit, replicas: int) -> None:
        self._inbox = inbox
        self._layout = layout
        self._replicas = replicas
        self._batches = Batches(inbox, layout, credit, replicas)

    async def description(self, name: str, *, fresh: bool = False) -> ObjectInfo | None:
        """Return the description, of a deleted object too; `fresh`: as the leader has it."""
        subject = self._layout.description(name)
        if fresh and self._replicas > 1:
            stored = await self._batches.stored({"last_by_subj": subject})
            if stored is None:
                return None
            data, sequence, time = base64.b64decode(stored.data), stored.seq, stored.time
        else:
            message = await self._inbox.request(f"{self._layout.direct}.{subject}")
            if status_of(message) == "404":
                return None
            headers = message.headers or {}
            data, sequence = message.data, int(headers.get("Nats-Sequence", "0"))
            time = headers.get("Nats-Time-Stamp", "")
        try:
            return decode_info(data, sequence=sequence, time=time)
        except (msgspec.DecodeError, ValueError) as error:
            text = f"{name!r} in bucket {self._layout.bucket} has an unreadable description"
            raise ObjectMissing(f"{text}: {error}", code="object_corrupt") from error

    async def info(self, name: str) -> ObjectInfo | None:
        """Return the description of an object that is there."""
        info = await self.description(name)
        if info is None and self._replicas > 1:
            info = await self.description(name, fresh=True)
        return None if info is None or info.deleted else info

    async def chunk(self, sequence: int) -> bytes:
        """Return the bytes of the message of that stream sequence."""
        request = msgspec.json.encode({"seq": sequence})
        message = await self._inbox.request(self._layout.direct, request)
        if status_of(message):
            raise Unavailable("nats", f"{self._layout.stream} lost message {sequence}")
        return message.data

    async def whole(self, info: ObjectInfo) -> bytes:
        """Return all the bytes, verified; large ones are hashed while the rest arrives."""
        chunks: list[bytes] = []
        digest = hashlib.sha256()
        if info.size < THREAD_BYTES:
            if info.chunks:
                chunks = (await self._batches.fetch(info, 0, 1, info.chunks)).chunks
            data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            digest.update(data)
        else:
            loop = asyncio.get_running_loop()
            async with aclosing(self._ahead(info, 0, info.chunks)) as batches:
                async for batch in batches:
                    await loop.run_in_executor(None, _update, digest, batch.chunks)
                    chunks += batch.chunks
            data = b"".join(chunks)
        if len(data) != info.size or digest.hexdigest() != info.digest:
            raise missing(info, "is corrupt: its digest is another", "object_corrupt")
        return data

    async def read(
        self, info: ObjectInfo, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """Stream a range; the last piece of a whole object comes when its digest is right."""
        start, stop = clamp(info, start, stop)
        if start >= stop:
            return
        first, end = 0, info.chunks
        whole = stop - start == info.size
        if not whole and await self._uniform(info):
            first, end = start // info.chunk_bytes, -(-stop // info.chunk_bytes)
        position, digest = first * info.chunk_bytes, hashlib.sha256()
        async with aclosing(self._ahead(info, first, end)) as batches:
            async for chunk in _flat(batches):
                piece = chunk[max(start - position, 0) : max(stop - position, 0)]
                position += len(chunk)
                if whole:
                    digest.update(chunk)
                    if position >= info.size and digest.hexdigest() != info.digest:
                        raise missing(info, "is corrupt: its digest is another", "object_corrupt")
                if piece:
                    yield piece
                if position >= stop:
                    break
        if position < stop or (whole and position != info.size):
            raise missing(info, "is corrupt: its chunks have another size", "object_corrupt")

    async def _uniform(self, info: ObjectInfo) -> bool:
        """Tell whether all chunks but the last are full, which shows in the last one's size.

        For objects of other clients, whose chunks do not say which one they are, this also makes
        sure that none is missing.
        """
        if info.uniform:
            return True
        await self._batches.fetch(info, 0, 1, 1)
        rest = info.size - (info.chunks - 1) * info.chunk_bytes
        last = await self._inbox.request(f"{self._layout.direct}.{self._layout.chunks(info.nuid)}")
        return 0 < rest <= info.chunk_bytes and len(last.data) == rest

    async def _ahead(self, info: ObjectInfo, first: int, end: int) -> AsyncGenerator[Batch, None]:
        """Yield chunks `first` to `end`, the next batch on its way while one is consumed."""
        count = max(1, BATCH_BYTES // info.chunk_bytes)
        index = first
        batch = await self._batches.seek(info, first, min(count, end - first))
        while True:
            index += len(batch.chunks)
            ahead: asyncio.Task[Batch] | None = None
            if index < end:
                ahead = asyncio.create_task(
                    self._batches.fetch(info, index, batch.last + 1, min(count, end - index))
                )
            try:
                yield batch
                if ahead is None:
                    return
                batch, ahead = await ahead, None
            finally:
                if ahead is not None:
                    ahead.cancel()
                    await asyncio.gather(ahead, return_exceptions=True)


def _update(digest: hashlib._Hash, chunks: list[bytes]) -> None:
    for chunk in chunks:
        digest.update(chunk)


async def _flat(batches: AsyncIterator[Batch]) -> AsyncIterator[bytes]:
    async for batch in batches:
        for chunk in batch.chunks:
            yield chunk
