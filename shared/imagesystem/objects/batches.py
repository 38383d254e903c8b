"""Chunks in a row: one request that the server answers with many messages.

A batched direct get has no flow control, so batches are bounded and the bytes under way are
shared out by a `Credit`. The first chunk of a batch says which one it is, in the message id that
this client gave it, and how many follow it in the whole object: a range is found without reading
what precedes it, and a chunk that is missing is noticed at once.
"""

from __future__ import annotations

import base64

import msgspec
from nats.aio.msg import Msg

from imagesystem.errors import ObjectMissing
from imagesystem.objects.credit import Credit
from imagesystem.objects.inbox import Inbox
from imagesystem.objects.layout import ApiError, Layout
from imagesystem.objects.port import ObjectInfo
from imagesystem.objects.publications import error_of

__all__ = ["Batch", "Batches", "Stored", "missing"]

NO_MESSAGE = 10037


class Stored(msgspec.Struct):
    """A message as `STREAM.MSG.GET` answers it, its data in base64, `time` in RFC 3339."""

    seq: int
    time: str
    data: str = ""


class _Answer(msgspec.Struct):
    message: Stored | None = None
    error: ApiError | None = None


_answer = msgspec.json.Decoder(_Answer)


class Batch:
    """Chunks in a row: `pending` more follow the first, `last` is the last one's sequence."""

    def __init__(self, messages: list[Msg]) -> None:
        self.chunks = [message.data for message in messages]
        first = (messages[0].headers or {}) if messages else {}
        last = (messages[-1].headers or {}) if messages else {}
        self.pending = int(first.get("Nats-Num-Pending", "-1"))
        self.first = int(first.get("Nats-Sequence", "0"))
        self.last = int(last.get("Nats-Sequence", "0"))
        self.message_id = first.get("Nats-Msg-Id", "")

    def index(self, info: ObjectInfo) -> int:
        """Return which of the object's chunks is the first; one past the end if there is none.

        Other clients give no message ids; then it follows from how many come after it, provided
        that all are there.
        """
        if not self.chunks:
            return info.chunks
        nuid, _, number = self.message_id.partition("/")
        if nuid == info.nuid and number.isdecimal():
            return int(number)
        return info.chunks - 1 - self.pending


def missing(info: ObjectInfo, why: str, code: str | None = None) -> ObjectMissing:
    """Return the error that says that the object cannot be read."""
    return ObjectMissing(f"{info.name!r} in bucket {info.bucket} {why}", code=code)


class Batches:
    """Batches of one bucket. With `replicas`, what a replica lacks is asked of the leader."""

    def __init__(self, inbox: Inbox, layout: Layout, credit: Credit, replicas: int) -> None:
        self._inbox = inbox
        self._layout = layout
        self._credit = credit
        self._replicas = replicas

    async def fetch(self, info: ObjectInfo, index: int, sequence: int, count: int) -> Batch:
        """Return `count` chunks, the first of which is chunk `index`.

        `sequence` is that of chunk `index` or of anything between it and the chunk before.
        Raises `ObjectMissing` when one is not there.
        """
        batch = await self._ask(info, sequence, count)
        complete = len(batch.chunks) == count and batch.pending == info.chunks - 1 - index
        if complete and batch.index(info) == index:
            return batch
        return await self._from_leader(info, sequence, 0, count)

    async def seek(self, info: ObjectInfo, index: int, count: int) -> Batch:
        """Return `count` chunks from chunk `index` on, whose sequence is not known yet.

        The description is written right after the last chunk, so that an object that nothing
        interleaved is found at the first try. Otherwise the sequence is narrowed down between
        that of a chunk before and that of a chunk after the wanted one.
        """
        if index == 0:
            return await self.fetch(info, 0, 1, count)
        below, before = 0, 0
        above, beyond = info.sequence - info.chunks + index + 1, info.chunks
        probe, tries = above - 1, 0
        while True:
            batch = await self._ask(info, probe, count if tries == 0 else 1)
            found = batch.index(info)
            if found == index:
                break
            if found < index:
                below, before = batch.first, found
            else:
                above, beyond = probe, found
            if above - below < 2 or (tries > 0 and below == 0):
                return await self._from_leader(info, 1, index, count)
            # Chunk 0 first; then in turn where evenly spread chunks would be, and the middle.
            share = (index - before) / (beyond - before) if tries % 2 else 0.5
            probe = min(max(below + round((above - below) * share), below + 1), above - 1)
            probe = probe if below else 1
            tries += 1
        if len(batch.chunks) == count and batch.pending == info.chunks - 1 - index:
            return batch
        return await self.fetch(info, index, batch.first, count)

    async def _ask(self, info: ObjectInfo, sequence: int, count: int) -> Batch:
        if not info.nuid:
            return Batch([])
        size = count * info.chunk_bytes
        turn = self._credit.take(size)
        if turn is not None:
            try:
                await turn
            except BaseException:
                self._credit.withdraw(turn, size)
                raise
        request = {
            "seq": max(sequence, 1),
            "batch": count,
            "next_by_subj": self._layout.chunks(info.nuid),
        }
        try:
            encoded = msgspec.json.encode(request)
            return Batch(await self._inbox.collect(self._layout.direct, encoded, count))
        finally:
            self._credit.give(size)

    async def _from_leader(self, info: ObjectInfo, sequence: int, skip: int, count: int) -> Batch:
        """Return chunks one by one from the leader, which lacks nothing that was confirmed."""
        batch = Batch([])
        subject = self._layout.chunks(info.nuid)
        for number in range(skip + count if self._replicas > 1 and info.nuid else 0):
            stored = await self.stored({"seq": sequence, "next_by_subj": subject})
            if stored is None:
                break
            sequence = stored.seq + 1
            if number >= skip:
                batch.chunks.append(base64.b64decode(stored.data))
                batch.last = stored.seq
        if len(batch.chunks) < count:
            raise missing(info, "was replaced, deleted or is incomplete")
        return batch

    async def stored(self, request: dict[str, object]) -> Stored | None:
        """Return the message that the leader has for a `STREAM.MSG.GET` request."""
        message = await self._inbox.request(self._layout.message, msgspec.json.encode(request))
        answer = _answer.decode(message.data)
        if answer.error is not None and answer.error.err_code != NO_MESSAGE:
            raise error_of(answer.error, self._layout.message)
        return answer.message
