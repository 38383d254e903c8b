"""What every replica reads from the log for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from imagesystem.bus import Received
from imagesystem.events import Fact
from imagesystem.memory import MemoryPlatform
from metadata_service.feeds.tail import Tail
from metadata_service.following import Following

from services.metadata.tests.samples import image_id, uploaded

PATTERN = "images.v1.*.uploaded"


async def test_it_ends_although_a_cancellation_is_lost():
    """As `asyncio.wait_for` loses one before Python 3.12, when it has an answer by then."""
    platform = MemoryPlatform()
    await platform.bus.publish(uploaded(image_id(1)))
    taking, lost = asyncio.Event(), 0

    async def take(_: Sequence[Received[Fact]]) -> None:
        nonlocal lost
        taking.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            lost += 1
            if lost > 1:
                raise

    async def settled() -> None:
        await asyncio.sleep(60)

    following = Following(platform.bus, [PATTERN], take, settled)
    async with asyncio.timeout(30):
        async with following.running(Tail(platform.bus, platform.doorbell)):
            await taking.wait()
    assert lost == 1
    assert following.places == {PATTERN: 1}


async def test_what_it_begins_with_comes_before_the_log():
    platform = MemoryPlatform()
    await platform.bus.publish(uploaded(image_id(1)))
    done: list[str] = []
    end = asyncio.Event()

    async def begin() -> None:
        done.append("begun")
        raise ValueError("it cannot be read")

    async def take(facts: Sequence[Received[Fact]]) -> None:
        done.extend(fact.event.image_id for fact in facts)

    async def settled() -> None:
        end.set()

    following = Following(platform.bus, [PATTERN], take, settled, begin)
    async with asyncio.timeout(30):
        async with following.running(Tail(platform.bus, platform.doorbell)):
            await end.wait()
    assert done == ["begun", image_id(1)]
    assert following.behind is None
