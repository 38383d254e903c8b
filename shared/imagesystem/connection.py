"""The connection to NATS, and the platform of a service on it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from urllib.parse import urlsplit

import nats.errors
from nats.aio.client import Client

from imagesystem import logs, retention
from imagesystem.bus import provisioning
from imagesystem.bus.brake import limits_of
from imagesystem.bus.tailing import JetStreamDoorbell
from imagesystem.dead_letters.jetstream import JetStreamLetters
from imagesystem.errors import Unavailable
from imagesystem.health import Health
from imagesystem.keyvalue import KeyValue
from imagesystem.keyvalue.jetstream import JetStreamKeyValue
from imagesystem.metrics import Metrics
from imagesystem.objects import Bucket, jetstream
from imagesystem.objects.client import WireClient
from imagesystem.objects.observed import ObservedBucket
from imagesystem.permissions import inbox_prefix
from imagesystem.questions.core import NatsQuestions
from imagesystem.room import Room, RoomyBucket, RoomyBus
from imagesystem.settings import ServiceSettings
from imagesystem.topology import BUCKETS, KEY_VALUES, STREAMS

__all__ = ["NatsPlatform", "open_platform", "provision"]

log = logs.get(__name__)


class NatsPlatform:
    """The bus and the buckets of one connection; see `imagesystem.platform.Platform`."""

    def __init__(
        self, client: Client, service: str, measures: Metrics, settings: ServiceSettings
    ) -> None:
        replicas = settings.replicas
        self.room = Room(client)
        self.bus = RoomyBus(
            client, service, measures, self.room, limits_of(settings), replicas=replicas
        )
        self.letters = JetStreamLetters(client)
        self.doorbell = JetStreamDoorbell(client)
        self.questions = NatsQuestions(client)
        self._buckets = {
            declared.name: RoomyBucket(client, declared.name, self.room, replicas=replicas)
            for declared in BUCKETS
        }
        self._measures = measures
        self._key_values = {
            kv.name: JetStreamKeyValue(client, kv.name, replicas=replicas) for kv in KEY_VALUES
        }

    def bucket(self, name: str) -> Bucket:
        """Return the bucket of that name; all who ask share its bounds on memory."""
        return ObservedBucket(self._buckets[name], self._measures)

    def key_value(self, name: str) -> KeyValue:
        """Return the key-value bucket of that name."""
        return self._key_values[name]

    async def settled(self) -> None:
        """Wait until what cancelled writes left behind is removed."""
        for bucket in self._buckets.values():
            await bucket.settled()


async def connect(url: str, service: str, ca_file: str = "") -> Client:
    """Connect as `service`, and stay: reconnects for ever, logs what happens.

    `url` may be several with commas between: the servers of a cluster, whose others are found out.

    With `ca_file` by TLS from the first byte: a server's plain greeting could as well come from
    somebody in between, and would get the password. It needs `handshake_first` at the server.
    """

    client, last_error = WireClient(), ""

    async def on_error(error: Exception) -> None:
        # While the server is away the same error comes several times a second.
        nonlocal last_error
        text = f"{type(error).__name__}: {error}"
        (log.debug if text == last_error else log.warning)("nats_error", error=text)
        last_error = text

    async def on_disconnect() -> None:
        if not client.is_closed:  # when we leave it is no news
            log.warning("nats_disconnected")

    async def on_reconnect() -> None:
        nonlocal last_error
        last_error = ""
        log.info("nats_reconnected")

    login = urlsplit(url.partition(",")[0])
    await client.connect(
        url.split(","),
        # Servers that the cluster tells of come without; nats-py takes both or none.
        user=login.username if login.password else None,
        password=login.password,
        tls=ssl.create_default_context(cafile=ca_file) if ca_file else None,
        tls_handshake_first=bool(ca_file),
        name=service,
        inbox_prefix=inbox_prefix(service),
        error_cb=on_error,
        disconnected_cb=on_disconnect,
        reconnected_cb=on_reconnect,
        connect_timeout=2,
        reconnect_time_wait=0.25,  # type: ignore[arg-type]  # seconds, a fraction works
        max_reconnect_attempts=-1,
        ping_interval=15,
        pending_size=16 * 1024 * 1024,
    )
    return client


async def provision(client: Client, service: str, settings: ServiceSettings | None = None) -> None:
    """Make the streams and buckets that `service` owns; wait for those that others own.

    What exists is changed to what `settings` say; see `imagesystem.retention`.
    """
    settings = settings or ServiceSettings()
    replicas = settings.replicas
    streams = [retention.stream_of(stream, settings) for stream in STREAMS]
    buckets = [retention.bucket_of(bucket, settings) for bucket in BUCKETS]
    configs = {
        **{stream.name: provisioning.stream_config(stream, replicas) for stream in streams},
        **{f"KV_{kv.name}": provisioning.key_value_config(kv, replicas) for kv in KEY_VALUES},
        **{f"OBJ_{b.name}": jetstream.stream_config(b, replicas=replicas) for b in buckets},
    }
    owners = {
        **{stream.name: stream.owner for stream in STREAMS},
        **{f"KV_{kv.name}": kv.owner for kv in KEY_VALUES},
        **{f"OBJ_{bucket.name}": bucket.owner for bucket in BUCKETS},
    }
    readers = {
        **{f"KV_{kv.name}": kv.writers for kv in KEY_VALUES},
        **{f"OBJ_{bucket.name}": bucket.readers for bucket in BUCKETS},
    }
    for name, owner in owners.items():
        if owner == service:
            make = partial(provisioning.ensure_stream, client, configs[name])
            await provisioning.patiently(make)
        elif name not in readers or service in readers[name]:
            await provisioning.wait_for_stream(client, name)


@asynccontextmanager
async def open_platform(
    settings: ServiceSettings, health: Health, measures: Metrics
) -> AsyncIterator[NatsPlatform]:
    """Connect within `START_TIMEOUT_S`, provision, watch the connection; close it at the end."""
    service = health.service
    try:
        async with asyncio.timeout(settings.start_timeout_s):
            client = await connect(settings.nats_url, service, settings.nats_ca_file)
            await provision(client, service, settings)
    except (TimeoutError, nats.errors.Error, OSError) as error:
        where = ", ".join(one.rpartition("@")[2] for one in settings.nats_url.split(","))
        raise Unavailable(
            "nats",
            f"NATS at {where} is not usable after {settings.start_timeout_s:g} s: "
            f"{str(error) or type(error).__name__}",
        ) from error
    health.watch("nats", lambda: None if client.is_connected else "not connected to NATS")
    health.watch(
        "nats_connection",
        lambda: "the connection to NATS is closed for good" if client.is_closed else None,
        fatal=True,
    )
    platform = NatsPlatform(client, service, measures, settings)
    health.watch("room", platform.room.check)
    health.mention(platform.bus.paused)
    try:
        yield platform
    finally:
        health.stopping = True
        with suppress(nats.errors.Error, TimeoutError):
            async with asyncio.timeout(5):
                await platform.settled()
            await client.flush(timeout=5)
        await client.close()
