"""The bus, on JetStream and in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from imagesystem import connection
from imagesystem.bus import Bus, provisioning
from imagesystem.bus.brake import BrakeLimits
from imagesystem.bus.jetstream import JetStreamBus
from imagesystem.bus.memory import MemoryBus
from imagesystem.dead_letters import Letters
from imagesystem.dead_letters.jetstream import JetStreamLetters
from imagesystem.dead_letters.memory import MemoryLetters
from imagesystem.metrics import Metrics
from imagesystem.topology import KEY_VALUES, STREAMS

from tests.contract.streams import empty_streams

#: So little is enough for the brake of `bus`; no test but those of the brake fails that much.
BRAKE = BrakeLimits(ratio=0.5, window_s=60.0, least=10, pause_s=3.0)


@pytest.fixture(params=["memory", "jetstream"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    if request.param == "memory":
        yield MemoryBus(BRAKE)
        return
    client = await connection.connect(request.getfixturevalue("nats_url"), "registry")
    configs = [provisioning.stream_config(stream) for stream in STREAMS]
    configs += [provisioning.key_value_config(key_value) for key_value in KEY_VALUES]
    async with empty_streams(client, configs):
        yield JetStreamBus(client, "registry", Metrics(), BRAKE)
    await client.close()


@pytest.fixture
def letters(bus: Bus) -> Letters:
    """The dead letters of `bus`."""
    if isinstance(bus, JetStreamBus):
        return JetStreamLetters(bus._client)
    assert isinstance(bus, MemoryBus)
    return MemoryLetters(bus)
