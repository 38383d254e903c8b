"""The consumer loop against a real server that is restarted, loses durables, or redelivers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from imagesystem import connection, ids
from imagesystem.bus import Received, api, provisioning
from imagesystem.bus.jetstream import JetStreamBus
from imagesystem.errors import Permanent, Unavailable
from imagesystem.events import DeadLetter, Event, Uploaded, letter_id
from imagesystem.metrics import Metrics
from imagesystem.topology import KEY_VALUES, STREAMS, Consumer

from tests.conftest import Server, nats_server

pytestmark = pytest.mark.integration

DURABLE = Consumer(
    name="registry-test",
    service="registry",
    stream="IMAGES",
    subjects=("images.v1.>",),
    ack_wait_s=1.0,
    attempts=2,
    retry_s=0.01,
)


def uploaded(name: str) -> Uploaded:
    return Uploaded(
        image_id=ids.image_id(name.encode()),
        filename=name,
        media_type="image/png",
        size_bytes=1,
        width=1,
        height=1,
        frames=1,
        sha256="00",
        uploaded_at=ids.now(),
    )


async def until(condition: Callable[[], object], seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    with nats_server(tmp_path) as server:
        yield server


@pytest.fixture
async def bus(server: Server) -> AsyncIterator[JetStreamBus]:
    client = await connection.connect(f"nats://127.0.0.1:{server.port}", "registry")
    for stream in STREAMS:
        await provisioning.ensure_stream(client, provisioning.stream_config(stream))
    for key_value in KEY_VALUES:
        await provisioning.ensure_stream(client, provisioning.key_value_config(key_value))
    yield JetStreamBus(client, "registry", Metrics())
    await client.close()


class Ear:
    """A handler that remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.given_up: list[tuple[str, str]] = []

    async def hear(self, received: Received[Event]) -> None:
        self.heard.append(received.subject)

    async def gave_up(self, received: Received[Event], why: Permanent, attempts: int) -> None:
        self.given_up.append((received.subject, why.code))


async def letter(bus: JetStreamBus, sequence: int) -> DeadLetter:
    number = letter_id(DURABLE.name, "IMAGES", sequence)
    found = await bus.latest(f"dead.v1.{DURABLE.name}.{number}")
    assert found is not None
    assert isinstance(found.event, DeadLetter)
    return found.event


async def test_a_restarted_server_is_used_again_and_nothing_is_lost(
    bus: JetStreamBus, server: Server
) -> None:
    ear = Ear()
    consumption = await bus.consume(DURABLE, ear.hear)
    await bus.publish(uploaded("before"), expected=0)
    await until(lambda: len(ear.heard) == 1)
    server.kill()
    await until(lambda: bus.unhealthy)
    publishing = asyncio.create_task(bus.publish(uploaded("during"), expected=0))
    server.start()
    await publishing
    await until(lambda: len(set(ear.heard)) == 2)  # an ack may be lost: at least once
    assert bus.unhealthy is None
    await consumption.stop()


async def test_a_durable_deleted_under_a_running_loop_continues_from_its_checkpoint(
    bus: JetStreamBus,
) -> None:
    ear = Ear()
    consumption = await bus.consume(DURABLE, ear.hear)
    for number in range(5):
        await bus.publish(uploaded(str(number)), expected=0)
    await until(lambda: len(ear.heard) == 5)
    client = bus._client
    info = f"CONSUMER.INFO.IMAGES.{DURABLE.name}"
    async with asyncio.timeout(20):  # until the acks have arrived
        while (await api.api_call(client, info))["ack_floor"]["stream_seq"] < 5:
            await asyncio.sleep(0.02)
    await provisioning.checkpoint(client, DURABLE)
    await api.api_call(client, f"CONSUMER.DELETE.IMAGES.{DURABLE.name}")
    await bus.publish(uploaded("after"), expected=0)
    await until(lambda: len(ear.heard) >= 6)
    await consumption.stop()
    assert ear.heard[5:] == [uploaded("after").subject]


async def test_what_nobody_answered_for_is_parked_before_any_handler_runs(
    bus: JetStreamBus,
) -> None:
    fact = uploaded("killer")
    said = await bus.publish(fact, expected=0)
    await provisioning.ensure_consumer(bus._client, DURABLE)
    pull = await bus._client.jetstream().pull_subscribe_bind(DURABLE.name, "IMAGES")
    for _ in range(DURABLE.attempts):  # deliveries whose receiver dies: no ack, no nak
        (message,) = await pull.fetch(1, timeout=10)
        assert message.subject == fact.subject
    ear = Ear()
    consumption = await bus.consume(DURABLE, ear.hear, gave_up=ear.gave_up)
    await until(lambda: ear.given_up)
    await consumption.stop()
    assert ear.heard == []
    assert ear.given_up == [(fact.subject, "attempts_exhausted")]
    parked = await letter(bus, said.sequence)
    assert msgspec.json.decode(parked.payload, type=Uploaded) == fact
    assert parked.attempts == DURABLE.attempts + 1


@pytest.mark.parametrize(
    ("subject", "body", "code"),
    [
        ("images.v1.x.uploaded", b"not json", "undecodable_event"),
        ("images.v1.x.uploaded", b'{"image_id": 1}', "undecodable_event"),
        ("images.v1.x.invented", b"{}", "unknown_subject"),
    ],
)
async def test_what_cannot_be_decoded_is_parked_whole(
    bus: JetStreamBus, subject: str, body: bytes, code: str
) -> None:
    ear = Ear()
    consumption = await bus.consume(DURABLE, ear.hear, gave_up=ear.gave_up)
    answer = await bus._client.request(subject, body)
    await bus.publish(uploaded("next"), expected=0)
    await until(lambda: ear.heard)
    sequence = msgspec.json.decode(answer.data)["seq"]
    async with asyncio.timeout(20):
        number = letter_id(DURABLE.name, "IMAGES", sequence)
        while await bus.latest(f"dead.v1.{DURABLE.name}.{number}") is None:
            await asyncio.sleep(0.02)
    await consumption.stop()
    parked = await letter(bus, sequence)
    assert (parked.code, parked.payload) == (code, body)


async def test_a_slow_handler_is_not_delivered_twice(bus: JetStreamBus) -> None:
    calls: list[int] = []
    done = asyncio.Event()

    async def slow(received: Received[Event]) -> None:
        calls.append(received.attempts)
        await asyncio.sleep(2.5 * DURABLE.ack_wait_s)  # in_progress is what keeps it
        done.set()

    consumption = await bus.consume(DURABLE, slow)
    await bus.publish(uploaded("slow"), expected=0)
    await asyncio.wait_for(done.wait(), 20)
    await consumption.stop()
    assert calls == [1]


async def test_streams_that_differ_are_updated_or_refused_in_one_line(bus: JetStreamBus) -> None:
    declared = provisioning.stream_config(STREAMS[0])
    await provisioning.ensure_stream(bus._client, declared | {"max_msg_size": 1_000_000})
    info = await api.api_call(bus._client, "STREAM.INFO.IMAGES")
    assert info["config"]["max_msg_size"] == 1_000_000
    with pytest.raises(Permanent, match="IMAGES exists with another retention"):
        await provisioning.ensure_stream(bus._client, info["config"] | {"retention": "workqueue"})


async def test_a_publish_whose_confirmation_was_lost_counts_once(
    bus: JetStreamBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes again under the same id, and is not refused because of itself."""
    request, lost = api.request, []

    async def lossy(*arguments: object, **more: object) -> object:
        answer = await request(*arguments, **more)  # type: ignore[arg-type]
        if not lost:
            lost.append(answer)
            raise Unavailable("nats", "the answer was lost")
        return answer

    monkeypatch.setattr(api, "request", lossy)
    said = await bus.publish(uploaded("once"), expected=0)
    assert said.sequence == 1
    assert (await api.api_call(bus._client, "STREAM.INFO.IMAGES"))["state"]["last_seq"] == 1
