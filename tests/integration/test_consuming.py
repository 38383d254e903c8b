"""The consumer loop against a real server that is restarted, loses durables, or redelivers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from imagesystem import connection, ids
from imagesystem.bus import Received, Said, api, consuming, pauses, provisioning
from imagesystem.bus.jetstream import JetStreamBus
from imagesystem.errors import Permanent, Unavailable
from imagesystem.events import DeadLetter, Event, Replay, Uploaded, encode, letter_id
from imagesystem.metrics import Metrics
from imagesystem.topology import KEY_VALUES, STREAMS, Consumer, replays_of
from structlog.testing import capture_logs

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


async def test_a_lost_connection_is_worth_a_warning_and_leaving_is_not(server: Server) -> None:
    with capture_logs() as lines:
        client = await connection.connect(f"nats://127.0.0.1:{server.port}", "registry")
        await client.close()
        assert [line for line in lines if line["log_level"] == "warning"] == []
        client = await connection.connect(f"nats://127.0.0.1:{server.port}", "registry")
        server.kill()
        await until(lambda: "nats_disconnected" in [line["event"] for line in lines])
        await client.close()


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


@pytest.mark.parametrize(
    "headers",
    [{"ce-specversion": "2.0"}, {"ce-type": "images.v2.uploaded"}, {"ce-type": "images.v1.failed"}],
)
async def test_what_says_that_it_is_of_another_version_is_parked_whole(
    bus: JetStreamBus, headers: dict[str, str]
) -> None:
    ear, fact = Ear(), uploaded("another")
    consumption = await bus.consume(DURABLE, ear.hear, gave_up=ear.gave_up)
    answer = await bus._client.request(fact.subject, encode(fact), headers=headers)
    await bus.publish(uploaded("next"), expected=0)
    sequence = msgspec.json.decode(answer.data)["seq"]
    async with asyncio.timeout(20):
        number = letter_id(DURABLE.name, "IMAGES", sequence)
        while await bus.latest(f"dead.v1.{DURABLE.name}.{number}") is None or not ear.heard:
            await asyncio.sleep(0.02)
    await consumption.stop()
    parked = await letter(bus, sequence)
    assert (parked.code, parked.payload) == ("unknown_version", encode(fact))
    assert parked.headers == headers
    assert ear.heard == [uploaded("next").subject]


async def test_a_message_whose_letter_is_refused_is_not_lost(bus: JetStreamBus) -> None:
    """It is not ended before its letter is written, whatever stands in the way of that."""
    smaller = provisioning.stream_config(STREAMS[2]) | {"max_msg_size": 300}
    await provisioning.ensure_stream(bus._client, smaller)
    tried: list[int] = []

    async def fail(received: Received[Event]) -> None:
        tried.append(received.attempts)
        raise Permanent("never", code="never")

    consumption = await bus.consume(DURABLE, fail)
    said = await bus.publish(uploaded("large"), expected=0)
    await until(lambda: tried)
    await asyncio.sleep(0.5)  # it would have been ended by now
    number = letter_id(DURABLE.name, "IMAGES", said.sequence)
    assert await bus.latest(f"dead.v1.{DURABLE.name}.{number}") is None
    await provisioning.ensure_stream(bus._client, provisioning.stream_config(STREAMS[2]))
    async with asyncio.timeout(30):
        while await bus.latest(f"dead.v1.{DURABLE.name}.{number}") is None:
            await asyncio.sleep(0.05)
    await consumption.stop()
    assert (await letter(bus, said.sequence)).message_subject == uploaded("large").subject


class Refusing(JetStreamBus):
    """A bus on which the first letter is refused, as a stream that was changed by hand would."""

    refused = 0

    async def publish(self, event: Event, *, expected: int | None = None) -> Said:
        if isinstance(event, DeadLetter) and not self.refused:
            self.refused += 1
            raise Permanent("refused", code="jetstream_error")
        return await super().publish(event, expected=expected)


async def test_a_message_whose_letter_is_refused_for_good_comes_again(bus: JetStreamBus) -> None:
    refusing, ear = Refusing(bus._client, "registry", Metrics()), Ear()

    async def fail(_: Received[Event]) -> None:
        raise Permanent("never", code="never")

    consumption = await refusing.consume(DURABLE, fail, gave_up=ear.gave_up)
    said = await bus.publish(uploaded("refused"), expected=0)
    await until(lambda: ear.given_up)
    await consumption.stop()
    assert refusing.refused == 1
    assert ear.given_up == [(uploaded("refused").subject, "never")]
    assert (await letter(bus, said.sequence)).attempts == 2


async def test_a_replay_of_what_kills_its_process_is_parked_again(bus: JetStreamBus) -> None:
    """Its deliveries without an answer count on, and no handler runs for what exceeds them."""
    said = await bus.publish(uploaded("killer"), expected=0)
    ear = Ear()

    async def fail(_: Received[Event]) -> None:
        raise Permanent("never", code="never")

    consumption = await bus.consume(DURABLE, fail, gave_up=ear.gave_up)
    await until(lambda: ear.given_up)
    await consumption.stop()
    first = await letter(bus, said.sequence)
    await bus.publish(
        Replay(consumer=DURABLE.name, letter_id=first.letter_id, requested_at=ids.now())
    )
    replays = replays_of(DURABLE)
    pull = await bus._client.jetstream().pull_subscribe_bind(replays.name, "COMMANDS")
    for _ in range(replays.attempts):  # deliveries whose receiver dies: no ack, no nak
        await pull.fetch(1, timeout=10)
    again = Ear()
    consumption = await bus.consume(DURABLE, again.hear, gave_up=again.gave_up)
    await until(lambda: again.given_up)
    await consumption.stop()
    assert again.heard == []
    second = await letter(bus, said.sequence)
    assert (second.code, second.payload) == ("attempts_exhausted", first.payload)
    assert second.attempts == first.attempts + replays.attempts + 1
    assert second.first_at == first.first_at


async def test_a_pause_outlives_the_server(bus: JetStreamBus, server: Server) -> None:
    ear, end = Ear(), ids.now() + timedelta(hours=1)
    consumption = await bus.consume(DURABLE, ear.hear)
    await bus.pause(DURABLE, end)
    server.kill()
    await until(lambda: bus.unhealthy)
    server.start()
    await until(lambda: not bus.unhealthy)
    await bus.publish(uploaded("meanwhile"), expected=0)
    async with asyncio.timeout(20):
        while await bus.paused() != {DURABLE.name: end}:
            await asyncio.sleep(0.05)
    assert ear.heard == []
    assert consumption.healthy is None
    await bus.pause(DURABLE, None)
    await until(lambda: ear.heard)
    await consumption.stop()


async def test_a_pause_outlives_its_consumer(
    bus: JetStreamBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "CHECKPOINT_EVERY_S", 0.05)
    ear, end = Ear(), ids.now() + timedelta(hours=1)
    consumption = await bus.consume(DURABLE, ear.hear)
    await bus.pause(DURABLE, end)
    await bus.publish(uploaded("meanwhile"), expected=0)
    registry, labels = bus._measures.registry, {"consumer": DURABLE.name}
    await until(lambda: registry.get_sample_value("consumer_pending_messages", labels) == 1)
    await api.api_call(bus._client, f"CONSUMER.DELETE.IMAGES.{DURABLE.name}")
    async with asyncio.timeout(20):
        while True:  # until it is there again
            with suppress(api.JetStreamError):
                assert await pauses.look(bus._client, DURABLE) == end
                break
            await asyncio.sleep(0.05)
    assert ear.heard == []
    await bus.pause(DURABLE, None)
    await until(lambda: ear.heard)
    await consumption.stop()


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
