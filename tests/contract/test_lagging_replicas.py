"""Reads that a replica answers which lacks what was confirmed: then the leader is asked.

In a cluster that is a matter of milliseconds. Here it stays so: a mirror answers direct gets of
the stream like a replica, one time in two, and what it holds is purged.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from imagesystem import ids
from imagesystem.bus import api, provisioning
from imagesystem.bus.jetstream import JetStreamBus
from imagesystem.bus.messages import stored
from imagesystem.events import Deleted
from imagesystem.keyvalue.jetstream import JetStreamKeyValue
from imagesystem.metrics import Metrics
from imagesystem.topology import KEY_VALUES, STREAMS
from nats.aio.client import Client

from tests.conftest import nats_server
from tests.contract.test_objects import connect

pytestmark = pytest.mark.contract

TIMES = 40
FACT = Deleted(image_id="image", reason="a test", deleted_at=ids.now())


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    with nats_server(tmp_path) as server:
        client = await connect("nats-py", f"nats://127.0.0.1:{server.port}")
        stream = next(stream for stream in STREAMS if stream.name == "IMAGES")
        keys = next(kv for kv in KEY_VALUES if kv.name == "tasks")
        for config in (provisioning.stream_config(stream), provisioning.key_value_config(keys)):
            await provisioning.ensure_stream(client, config)
            lagging = {
                "name": f"LAGGING_{config['name']}",
                "mirror": {"name": config["name"]},
                "mirror_direct": True,
                "storage": "file",
            }
            await api.api_call(client, f"STREAM.CREATE.{lagging['name']}", lagging)
        yield client
        await client.close()


async def lag(client: Client, stream: str) -> None:
    """Have the mirror forget what it took over."""
    async with asyncio.timeout(20):
        while not (await api.api_call(client, f"STREAM.INFO.LAGGING_{stream}"))["state"][
            "last_seq"
        ]:
            await asyncio.sleep(0.02)
    assert (await api.api_call(client, f"STREAM.PURGE.LAGGING_{stream}"))["purged"] == 1


async def test_a_fact_that_was_said_is_found(client: Client) -> None:
    one, three = (JetStreamBus(client, "test", Metrics(), replicas=count) for count in (1, 3))
    said = await three.publish(FACT)
    await lag(client, "IMAGES")
    found = [await three.latest(FACT.subject) for _ in range(TIMES)]
    assert {each and each.sequence for each in found} == {said.sequence}
    assert {each and each.event for each in found} == {FACT}
    assert await three.latest("images.v1.nobody.deleted") is None
    # the control: who trusts any replica misses it
    assert None in [await one.latest(FACT.subject) for _ in range(TIMES)]


async def test_a_key_that_was_written_is_found(client: Client) -> None:
    one, three = (JetStreamKeyValue(client, "tasks", replicas=count) for count in (1, 3))
    revision = await three.put("augmentation.x", b"state", expected=0)
    await lag(client, "KV_tasks")
    found = [await three.get("augmentation.x") for _ in range(TIMES)]
    assert {each and each.revision for each in found} == {revision}
    assert {each and each.value for each in found} == {b"state"}
    assert await three.last("augmentation.*") == found[0]
    assert await three.get("augmentation.y") is None
    assert None in [await one.get("augmentation.x") for _ in range(TIMES)]


async def test_the_leader_answers_in_the_same_words(client: Client) -> None:
    await JetStreamBus(client, "test", Metrics()).publish(FACT)
    of_leader = await api.leader_get(client, "IMAGES", FACT.subject)
    found = [await api.direct_get(client, "IMAGES", FACT.subject) for _ in range(TIMES)]
    of_replica = next(message for message in found if message is not None)
    assert of_leader is not None
    assert stored(of_leader) == stored(of_replica)
