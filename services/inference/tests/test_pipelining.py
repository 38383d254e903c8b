"""What is in hand at a time: read while others are looked at, and never more than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from imagesystem import ids
from imagesystem.errors import Unavailable
from imagesystem.objects.memory import MemoryBucket
from imagesystem.objects.port import ObjectInfo
from imagesystem.places import Allowance
from imagesystem.topology import CONSUMERS
from inference_service.decoding import decoded_bytes

from services.inference.tests.specimens import png
from services.inference.tests.stage import Stage


class SlowBucket(MemoryBucket):
    """Hands over what is `held` only when the gate opens; `reading`: who waits for it now."""

    def __init__(self) -> None:
        super().__init__("originals")
        self.gate = asyncio.Event()
        self.held: set[str] = set()
        self.reading: list[str] = []

    async def get(self, name: str) -> tuple[ObjectInfo, bytes]:
        if name in self.held:
            self.reading.append(name)
            await self.gate.wait()
            self.reading.remove(name)
        return await super().get(name)


async def until_quiet() -> None:
    """Let everything go on that can, without any clock."""
    for _ in range(200):
        await asyncio.sleep(0)


@pytest.fixture
async def slow() -> AsyncIterator[tuple[Stage, SlowBucket]]:
    bucket = SlowBucket()
    stage = Stage(originals=bucket)
    await stage.listen()
    yield stage, bucket
    bucket.gate.set()
    await stage.stop()


async def test_a_slow_original_keeps_nobody_waiting(slow: tuple[Stage, SlowBucket]) -> None:
    stage, bucket = slow
    late = ids.image_id(png("navy"))
    bucket.held.add(late)
    await stage.upload(png("navy"), wait=False)
    others = [await stage.upload(png(f"#0000{n:02x}"), wait=False) for n in range(20)]
    await until_quiet()
    assert bucket.reading == [late]
    assert [stage.answered(image_id) for image_id in others] == [["analysis"]] * 20
    bucket.gate.set()
    await stage.bus.settle()
    assert stage.answered(late) == ["analysis"]


async def test_no_more_is_read_than_may_be_in_hand(slow: tuple[Stage, SlowBucket]) -> None:
    stage, bucket = slow
    pictures = [png(f"#0000{n:02x}") for n in range(20)]
    bucket.held.update(map(ids.image_id, pictures))
    for data in pictures:
        await stage.upload(data, wait=False)
    await until_quiet()
    assert len(bucket.reading) == CONSUMERS["inference-uploaded"].concurrency
    bucket.gate.set()
    await stage.bus.settle()
    assert {tuple(stage.answered(ids.image_id(data))) for data in pictures} == {("analysis",)}


async def test_pixels_in_hand_are_bounded_and_a_huge_picture_is_alone() -> None:
    bucket = SlowBucket()
    small = 40 * 30 * 4
    stage = Stage(originals=bucket, in_hand=Allowance(3 * small))
    await stage.listen()
    pictures = [png(f"#0000{n:02x}") for n in range(6)]
    bucket.held.update(map(ids.image_id, pictures))
    for data in pictures:
        await stage.upload(data, wait=False)
    await until_quiet()
    assert len(bucket.reading) == 2  # with the files' own bytes three are too many
    bucket.gate.set()
    await stage.bus.settle()
    bucket.gate.clear()
    huge = [png("gold", (90, 90)), png("plum", (90, 90))]
    bucket.held = set(map(ids.image_id, huge))
    for data in huge:
        await stage.upload(data, wait=False, size=(90, 90))
    await until_quiet()
    assert len(bucket.reading) == 1
    bucket.gate.set()
    await stage.bus.settle()
    await stage.stop()
    answered = [stage.answered(ids.image_id(data)) for data in (*pictures, *huge)]
    assert answered == [["analysis"]] * 8


async def test_waiting_for_a_worker_burns_no_attempt() -> None:
    stage = Stage()
    await stage.listen()
    waits = CONSUMERS["inference-uploaded"].attempts + 3
    stage.pool.trouble = [Unavailable("worker", "no worker was free") for _ in range(waits)]
    image_id = await stage.upload(png("teal"))
    assert stage.fact(image_id, "inferred.analysis").attempts == 1
    stage.pool.trouble = [Unavailable("worker", "no worker was free") for _ in range(waits)]
    await stage.again(image_id)
    assert stage.fact(image_id, "inferred.analysis").attempts == 1
    assert stage.pool.calls == 2 * (waits + 1)
    assert not stage.letters()
    await stage.stop()


@pytest.mark.parametrize(
    ("size", "kind", "side", "pixels"),
    [
        ((4000, 3000), "image/png", 512, 4000 * 3000),
        ((4000, 3000), "image/jpeg", 512, 1000 * 750),
        ((4000, 3000), "image/jpeg", 400, 500 * 375),
        ((4000, 3000), "image/jpeg", 4000, 4000 * 3000),
        ((40, 30), "image/jpeg", 512, 40 * 30),
    ],
)
def test_a_jpeg_takes_the_pixels_that_it_is_decoded_at(
    size: tuple[int, int], kind: str, side: int, pixels: int
) -> None:
    assert decoded_bytes(*size, kind, side) == pixels * 4
