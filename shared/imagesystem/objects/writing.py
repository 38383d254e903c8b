"""Writing objects: chunks in a window of unconfirmed publishes, the description last.

An object is there once its description is. That one is published with the sequence it is to
follow, so that of several writers of one name each knows exactly which object it replaced and
purges that one's chunks, and no other.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping
from contextlib import aclosing, suppress
from typing import Any, TypeVar

import msgspec
from nats.nuid import NUID

from imagesystem import ids, logs
from imagesystem.errors import ImageSystemError, StoreFull, Unavailable, WrongSequence
from imagesystem.objects.credit import Credit
from imagesystem.objects.inbox import Inbox
from imagesystem.objects.layout import Layout, decode_ack, encode_info
from imagesystem.objects.pieces import rechunk, slices
from imagesystem.objects.port import CHUNK_BYTES, ObjectInfo, check_name
from imagesystem.objects.publications import Publications, error_of
from imagesystem.objects.reading import THREAD_BYTES, Reader

__all__ = ["Writer"]

#: What headers may take of the server's `max_payload`, which counts them (the client does not).
HEADER_BYTES = 8 * 1024

T = TypeVar("T")
log = logs.get(__name__)


class Writer:
    """Writes to one bucket."""

    def __init__(self, inbox: Inbox, layout: Layout, credit: Credit, reader: Reader) -> None:
        self._inbox = inbox
        self._layout = layout
        self._credit = credit
        self._reader = reader
        self._nuid = NUID()
        # Chunks that could not be purged yet: their nuid, and the object's name.
        self._litter: dict[str, str] = {}
        self._unstoppable: set[asyncio.Task[Any]] = set()

    async def put(
        self,
        name: str,
        data: bytes | AsyncIterator[bytes],
        metadata: Mapping[str, str] | None = None,
        digest: str | None = None,
    ) -> ObjectInfo:
        """Write an object; a cancellation that comes with the description comes too late."""
        check_name(name)
        self._inbox.check()
        await self._inbox.open()
        await self._sweep()
        draft = ObjectInfo(
            bucket=self._layout.bucket,
            name=name,
            nuid=self._nuid.next().decode(),
            size=0,
            chunks=0,
            digest=digest or "",
            modified_at=ids.now(),
            sequence=0,
            chunk_bytes=min(CHUNK_BYTES, self._inbox.client.max_payload - HEADER_BYTES),
            metadata=dict(metadata or {}),
        )
        with Publications(self._inbox, self._credit) as publications:
            try:
                draft = await self._write(publications, draft, data)
                sequences = await publications.confirmed()
                if sequences != sorted(sequences):
                    draft = await self._reorder(draft, sequences)
                draft = msgspec.structs.replace(draft, modified_at=ids.now())
            except BaseException:
                await self._finish(self._abandon(draft, publications))
                raise
        return await self._finish(self._commit(draft))

    async def delete(self, info: ObjectInfo) -> bool:
        """Delete exactly this object; a cancellation comes too late."""
        if info.deleted:
            return False
        self._inbox.check()
        return await self._finish(self._delete(info))

    async def settled(self) -> None:
        """Wait for what goes on although its caller was cancelled."""
        while self._unstoppable:
            await asyncio.wait(set(self._unstoppable))

    async def _finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end, whatever happens to the caller."""
        task = asyncio.create_task(work)
        self._unstoppable.add(task)
        task.add_done_callback(self._unstoppable.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            if not task.cancelled() and (error := task.exception()) is not None:
                log.warning("object_write_cancelled", error=str(error))
            raise

    async def _write(
        self, publications: Publications, draft: ObjectInfo, data: bytes | AsyncIterator[bytes]
    ) -> ObjectInfo:
        subject, nuid = self._layout.chunks(draft.nuid), draft.nuid
        size, count, hashed = 0, 0, None if draft.digest else hashlib.sha256()
        if isinstance(data, bytes):
            hashing = self._hash(hashed, data)
            for piece in slices(data, draft.chunk_bytes):
                await publications.publish(subject, piece, f"{nuid}/{count}")
                count += 1
            await hashing
            size = len(data)
        else:
            async with aclosing(rechunk(data, draft.chunk_bytes)) as chunks:
                async for chunk in chunks:
                    if hashed is not None:
                        hashed.update(chunk)
                    await publications.publish(subject, chunk, f"{nuid}/{count}")
                    size, count = size + len(chunk), count + 1
        digest = draft.digest if hashed is None else hashed.hexdigest()
        return msgspec.structs.replace(draft, size=size, chunks=count, digest=digest)

    def _hash(self, digest: hashlib._Hash | None, data: bytes) -> Awaitable[None]:
        """Hash in a thread at once, or, what is small, here while the server takes the bytes."""
        if digest is not None and len(data) >= THREAD_BYTES:
            return asyncio.get_running_loop().run_in_executor(None, digest.update, data)

        async def later() -> None:
            await asyncio.sleep(0)
            if digest is not None:
                digest.update(data)

        return later()

    async def _reorder(self, draft: ObjectInfo, sequences: list[int]) -> ObjectInfo:
        """Write the chunks again, one after the other: some had been lost and came too late."""
        written = msgspec.structs.replace(draft, nuid=self._nuid.next().decode())
        with Publications(self._inbox, self._credit) as publications:
            try:
                for index, sequence in enumerate(sequences):
                    chunk = await self._reader.chunk(sequence)
                    subject = self._layout.chunks(written.nuid)
                    await publications.publish(subject, chunk, f"{written.nuid}/{index}")
                    await publications.confirmed()
                await self._finish(self._tidy(draft))
            except BaseException:
                await self._finish(self._abandon(written, publications))
                raise
        return written

    async def _describe(self, info: ObjectInfo, expected: int) -> int:
        """Publish a description that is to follow that of sequence `expected`; return its own."""
        # An id of its own each time: a cluster takes a repeated one for confirmed, whatever it
        # expects, so that two deletions of one object would both be told that they did it.
        message_id = f"{info.nuid}/{self._nuid.next().decode()}"
        with Publications(self._inbox, self._credit) as publications:
            await publications.publish(
                self._layout.description(info.name),
                encode_info(info),
                message_id,
                {
                    "Nats-Rollup": "sub",
                    "Nats-Expected-Last-Subject-Sequence": str(expected),
                },
            )
            return (await publications.confirmed())[0]

    async def _commit(self, draft: ObjectInfo) -> ObjectInfo:
        replaced: ObjectInfo | None = None
        try:
            while True:
                try:
                    sequence = await self._describe(draft, replaced.sequence if replaced else 0)
                    break
                except WrongSequence:
                    replaced = await self._reader.description(draft.name, fresh=True)
                    if replaced is not None and replaced.nuid == draft.nuid:
                        return replaced  # the confirmation was lost
        except ImageSystemError:
            # It may have arrived all the same: only the description that is there can tell.
            self._litter[draft.nuid] = draft.name
            with suppress(Unavailable):
                await self._sweep()
            raise
        if replaced is not None and not replaced.deleted:
            await self._tidy(replaced)
        return msgspec.structs.replace(draft, sequence=sequence)

    async def _delete(self, info: ObjectInfo) -> bool:
        marker = msgspec.structs.replace(
            info, deleted=True, size=0, chunks=0, digest="", modified_at=ids.now()
        )
        try:
            try:
                await self._describe(marker, info.sequence)
            except StoreFull:
                # The chunks are this object's alone; without them there is room to say so, unless
                # the limit was lowered below what is stored.
                await self._purge(info.nuid)
                try:
                    await self._describe(marker, info.sequence)
                except StoreFull:
                    return await self._erase(info)
        except WrongSequence:
            held = await self._reader.description(info.name, fresh=True)
            if held is None or not held.deleted or held.nuid != info.nuid:
                return False
            await self._tidy(info)
            return held.modified_at == marker.modified_at  # ours, the confirmation was lost
        await self._tidy(info)
        return True

    async def _abandon(self, draft: ObjectInfo, publications: Publications | None = None) -> None:
        """Leave nothing behind of an object that has not been described."""
        if publications is not None:
            # The server purges at once but stores in turn: a purge may overtake a chunk.
            await publications.abandoned()
        await self._tidy(draft)

    async def _tidy(self, info: ObjectInfo) -> None:
        """Purge the chunks, now or when the server is back; nobody waits for that."""
        try:
            await self._purge(info.nuid)
        except ImageSystemError as error:
            self._litter[info.nuid] = info.name
            log.warning("object_chunks_left", bucket=info.bucket, nuid=info.nuid, error=str(error))

    async def _sweep(self) -> None:
        """Purge what could not be purged before, unless it belongs to an object after all."""
        for nuid, name in list(self._litter.items()):
            held = await self._reader.description(name, fresh=True)
            if held is None or held.deleted or held.nuid != nuid:
                await self._purge(nuid)
            self._litter.pop(nuid, None)

    async def _erase(self, info: ObjectInfo) -> bool:
        """Purge this description, and no newer one, where no marker can replace it."""
        subject = self._layout.description(info.name)
        return await self._purged({"filter": subject, "seq": info.sequence + 1}) > 0

    async def _purge(self, nuid: str) -> None:
        await self._purged({"filter": self._layout.chunks(nuid)})

    async def _purged(self, query: dict[str, object]) -> int:
        message = await self._inbox.request(self._layout.purge, msgspec.json.encode(query))
        ack = decode_ack(message.data)
        if ack.error is not None:
            raise error_of(ack.error, self._layout.purge)
        return ack.purged
