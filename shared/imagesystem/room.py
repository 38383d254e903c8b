"""Room in the stores: what was refused for lack of it, until there is room again.

A service that was refused a write says so in its readiness, with the limit that was reached. It
is told by the refusal, not by polling: while nothing was refused, nothing is asked. After one,
whoever asks for readiness has the store looked at again, at most every `LOOK_EVERY_S`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager

import msgspec
from nats.aio.client import Client

from imagesystem import logs, retention
from imagesystem.bus import api
from imagesystem.bus.jetstream import JetStreamBus, stream_of
from imagesystem.bus.port import Said
from imagesystem.errors import ImageSystemError, StoreFull
from imagesystem.events import Event, encode
from imagesystem.metrics import Metrics
from imagesystem.objects.jetstream import JetStreamBucket
from imagesystem.objects.port import ObjectInfo
from imagesystem.topology import BUCKETS, STREAMS

__all__ = ["LOOK_EVERY_S", "Room", "RoomyBucket", "RoomyBus"]

log = logs.get(__name__)

LOOK_EVERY_S = 2.0
#: What a stored message takes besides its body: subject, headers, the record's own.
MESSAGE_BYTES = 1024
#: Never full: the oldest give way.
EVICTING = {
    *(stream.name for stream in STREAMS if stream.evicts),
    *(f"OBJ_{bucket.name}" for bucket in BUCKETS if bucket.cache),
}


class _Refusal(msgspec.Struct):
    """`needed`: bytes for which there was no room; `line`: what readiness says."""

    needed: int
    line: str


class Room:
    """What the stores refused to this service."""

    def __init__(
        self, client: Client, service: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._probe_subject = f"$KV.checkpoints.{service}.room"
        self._clock = clock
        self._refusals: dict[str, _Refusal] = {}
        self._looked_at = -LOOK_EVERY_S

    @contextmanager
    def watching(self, stream: str, needed: Callable[[], int]) -> Iterator[None]:
        """Remember whether the write in this context is refused for lack of room, or is not."""
        try:
            yield
        except StoreFull as error:
            if stream not in EVICTING:
                self._refuse(stream, needed(), error.message)
            raise
        self._has_room(stream)

    def _refuse(self, stream: str, needed: int, message: str) -> None:
        if stream not in self._refusals:
            log.warning("store_full", stream=stream, error=message)
            self._looked_at = -LOOK_EVERY_S
        self._refusals[stream] = _Refusal(needed, f"{_name(stream)}: full ({message})")

    def _has_room(self, stream: str) -> None:
        if self._refusals.pop(stream, None) is not None:
            log.info("store_has_room", stream=stream)

    async def check(self) -> str | None:
        """Return one line while a store is full, else None; a check of `Health`."""
        if self._refusals and self._clock() - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = self._clock()
            for stream, refusal in list(self._refusals.items()):
                try:
                    await self._look(stream, refusal)
                except ImageSystemError as error:
                    log.debug("room_unknown", stream=stream, error=error.message)
        return "; ".join(refusal.line for refusal in self._refusals.values()) or None

    async def _look(self, stream: str, refusal: _Refusal) -> None:
        info = await api.api_call(self._client, f"STREAM.INFO.{stream}")
        held, limit = int(info["state"]["bytes"]), int(info["config"]["max_bytes"])
        name, setting = _name(stream), retention.SETTINGS[stream]
        if 0 <= limit < held + refusal.needed:
            refusal.line = (
                f"{name}: full: {held} of {limit} bytes are taken, the last write needed "
                f"{refusal.needed}: delete pictures or raise {setting}"
            )
        elif not await self._nats_has_room():
            refusal.line = (
                f"{name}: NATS is full: all it may keep on disk is taken: delete pictures or "
                "raise NATS_MAX_FILE_STORE"
            )
        else:
            self._has_room(stream)

    async def _nats_has_room(self) -> bool:
        """Try: how much the server may keep in all is nothing that it tells its users."""
        answer = await api.request(self._client, self._probe_subject, b"")
        return "error" not in msgspec.json.decode(answer.data)


def _name(stream: str) -> str:
    return stream.removeprefix("OBJ_")


class RoomyBus(JetStreamBus):
    """The bus, telling `room` what became of each publish."""

    def __init__(self, client: Client, source: str, measures: Metrics, room: Room) -> None:
        super().__init__(client, source, measures)
        self._room = room

    async def publish(self, event: Event, *, expected: int | None = None) -> Said:
        """See `Bus.publish`."""
        with self._room.watching(
            stream_of(event.subject), lambda: len(encode(event)) + MESSAGE_BYTES
        ):
            return await super().publish(event, expected=expected)


class RoomyBucket(JetStreamBucket):
    """A bucket, telling `room` what became of each put."""

    def __init__(self, client: Client, name: str, room: Room, *, replicas: int = 1) -> None:
        super().__init__(client, name, replicas=replicas)
        self._room = room

    async def put(
        self,
        name: str,
        data: bytes | AsyncIterator[bytes],
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        """See `Bucket.put`."""
        taken = 0

        async def counted(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            nonlocal taken
            async for piece in pieces:
                taken += len(piece)
                yield piece

        if isinstance(data, bytes):
            taken = len(data)
        else:
            data = counted(data)
        with self._room.watching(f"OBJ_{self.name}", lambda: taken + MESSAGE_BYTES):
            return await super().put(name, data, metadata=metadata)
