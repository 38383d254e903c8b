"""Room in the stores: what was refused for lack of it, until there is room again.

A service that was refused a write says so in its readiness, with the limit that was reached. It
is told by the refusal, not by polling: while nothing was refused, nothing is asked. After one,
whoever asks for readiness has the store looked at again, at most every `LOOK_EVERY_S`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import msgspec
from nats.aio.client import Client

from imagesystem import logs, retention
from imagesystem.bus import api
from imagesystem.bus.brake import BrakeLimits
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
#: What the server says when a stream has reached its limit, whatever else when all of it has.
STREAM_FULL = "maximum bytes"
#: Never full: the oldest give way.
EVICTING = {
    *(stream.name for stream in STREAMS if stream.evicts),
    *(f"OBJ_{bucket.name}" for bucket in BUCKETS if bucket.cache),
}


class _Refusal(msgspec.Struct):
    """One store that refused; `line` is what readiness says.

    `needed`: bytes for which there was no room; `by_nats`: NATS as a whole had none, not the
    store; `held`: bytes that NATS held then in all; `connection`: which connection it was.
    """

    line: str
    needed: int
    by_nats: bool
    held: int
    connection: int


class Room:
    """What the stores refused to this service."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._refusals: dict[str, _Refusal] = {}
        self._looked_at = -LOOK_EVERY_S

    @asynccontextmanager
    async def watching(self, stream: str, needed: Callable[[], int]) -> AsyncIterator[None]:
        """Remember whether the write in this context is refused for lack of room, or is not."""
        try:
            yield
        except StoreFull as error:
            if stream not in EVICTING:
                with suppress(ImageSystemError):  # NATS is away, which says more
                    await self._refuse(stream, needed(), error.message)
            raise
        self._has_room(stream)

    async def _refuse(self, stream: str, needed: int, message: str) -> None:
        if stream not in self._refusals:
            log.warning("store_full", stream=stream, error=message)
            self._looked_at = -LOOK_EVERY_S
        by_nats = STREAM_FULL not in message
        limit = "NATS_MAX_FILE_STORE" if by_nats else retention.SETTINGS[stream]
        self._refusals[stream] = _Refusal(
            line=f"{_name(stream)}: full: {message}: delete pictures or raise {limit}",
            needed=needed,
            by_nats=by_nats,
            held=await self._held(),
            connection=self._client.stats["reconnects"],
        )

    def _has_room(self, stream: str) -> None:
        if self._refusals.pop(stream, None) is not None:
            log.info("store_has_room", stream=stream)

    async def check(self) -> str | None:
        """Return one line while a store is full, else None; a check of `Health`."""
        if self._refusals and self._clock() - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = self._clock()
            for stream, refusal in list(self._refusals.items()):
                try:
                    look = self._look_at_nats if refusal.by_nats else self._look_at
                    await look(stream, refusal)
                except ImageSystemError as error:
                    log.debug("room_unknown", stream=stream, error=error.message)
        return "; ".join(refusal.line for refusal in self._refusals.values()) or None

    async def _look_at(self, stream: str, refusal: _Refusal) -> None:
        info = await api.api_call(self._client, f"STREAM.INFO.{stream}")
        held, limit = int(info["state"]["bytes"]), int(info["config"]["max_bytes"])
        if not 0 <= limit < held + refusal.needed:
            self._has_room(stream)
            return
        refusal.line = (
            f"{_name(stream)}: full: {held} of {limit} bytes are taken, the last write needed "
            f"{refusal.needed}: delete pictures or raise {retention.SETTINGS[stream]}"
        )

    async def _look_at_nats(self, stream: str, refusal: _Refusal) -> None:
        """Look whether as much was freed as was needed: NATS does not tell how much it may keep.

        That can only have changed if it was restarted; then the next write will show.
        """
        held = await self._held()
        restarted = self._client.stats["reconnects"] != refusal.connection
        if restarted or held + refusal.needed <= refusal.held:
            self._has_room(stream)
        else:
            refusal.line = (
                f"{_name(stream)}: NATS is full: {held} bytes are taken, the last write needed "
                f"{refusal.needed}: delete pictures or raise NATS_MAX_FILE_STORE"
            )

    async def _held(self) -> int:
        """Return the bytes that NATS holds in all."""
        return int((await api.api_call(self._client, "INFO"))["storage"])


def _name(stream: str) -> str:
    return stream.removeprefix("OBJ_")


class RoomyBus(JetStreamBus):
    """The bus, telling `room` what became of each publish."""

    def __init__(
        self,
        client: Client,
        source: str,
        measures: Metrics,
        room: Room,
        brake: BrakeLimits | None = None,
        *,
        replicas: int = 1,
    ) -> None:
        super().__init__(client, source, measures, brake, replicas=replicas)
        self._room = room

    async def publish(self, event: Event, *, expected: int | None = None) -> Said:
        """See `Bus.publish`."""
        async with self._room.watching(
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
        digest: str | None = None,
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
        async with self._room.watching(f"OBJ_{self.name}", lambda: taken + MESSAGE_BYTES):
            return await super().put(name, data, metadata=metadata, digest=digest)
