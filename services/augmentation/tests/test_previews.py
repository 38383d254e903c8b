"""How many at once, and what becomes of pictures that kill."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from augmentation_service.engine import Receipt, fingerprint, parse
from augmentation_service.measures import Measures
from augmentation_service.previews import Previews, Read
from augmentation_service.rendering import Job, Rendered, render
from imagesystem.errors import Rejected, Transient
from imagesystem.metrics import Metrics
from imagesystem.workers import WorkerDied

RENDERED = Rendered(
    data=b"picture",
    media_type="image/png",
    receipt=Receipt(
        engine="1",
        seed=0,
        source="",
        variant=0,
        steps=[],
        width=1,
        height=1,
        channels=1,
        platform=fingerprint(),
    ),
)


class Pool:
    """Stands in for a `WorkerPool`: does what each call is told to."""

    def __init__(self, *outcomes: Exception | None, size: int = 1) -> None:
        self.size = size
        self.outcomes = list(outcomes)
        self.calls = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def run(self, function: Any, *args: Any, **more: Any) -> Rendered:
        del function, args, more
        self.calls += 1
        await self.gate.wait()
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome
        return RENDERED


async def make(made: Previews, read: Read, wanted: Job) -> Rendered:
    return await made.make(render, read, wanted, wanted)


def previews(pool: Any, max_waiting: int = 4) -> tuple[Previews, Metrics]:
    metrics = Metrics()
    made = Previews(pool, Measures(metrics), max_waiting=max_waiting, deadline_s=1)
    return made, metrics


def job(source: str = "a") -> Job:
    return Job(
        recipe=parse([]),
        seed=0,
        source=source,
        variant=0,
        format="png",
        max_pixels=100,
    )


async def read() -> bytes:
    return b"bytes"


def counted(metrics: Metrics, outcome: str) -> float | None:
    return metrics.registry.get_sample_value("augmentation_previews_total", {"outcome": outcome})


async def test_a_death_that_is_not_the_pictures_own_is_forgiven() -> None:
    pool = Pool(WorkerDied("died"))
    made, metrics = previews(pool)
    assert await make(made, read, job()) == RENDERED
    assert pool.calls == 2
    assert counted(metrics, "made") == 1


async def test_a_picture_that_kills_twice_is_refused_and_remembered() -> None:
    pool = Pool(WorkerDied("died"), WorkerDied("died"))
    made, metrics = previews(pool)
    for _ in range(3):
        with pytest.raises(Rejected) as caught:
            await make(made, read, job("poison"))
        assert (caught.value.status, caught.value.code) == (422, "unprocessable_picture")
    assert pool.calls == 2, "not tried again"
    assert await make(made, read, job("innocent")) == RENDERED
    assert counted(metrics, "refused") == 3


async def test_too_many_are_turned_away() -> None:
    pool = Pool()
    pool.gate.clear()
    made, metrics = previews(pool, max_waiting=3)
    # One works, one has its bytes ready, three wait.
    tasks = [asyncio.create_task(make(made, read, job())) for _ in range(5)]
    await asyncio.sleep(0.01)
    with pytest.raises(Transient) as caught:
        await make(made, read, job())
    assert caught.value.code == "too_busy"
    assert counted(metrics, "busy") == 1
    pool.gate.set()
    assert await asyncio.gather(*tasks) == [RENDERED] * 5
    assert await make(made, read, job()) == RENDERED


async def test_errors_free_their_place() -> None:
    pool = Pool(*[Transient("slow", code="deadline_exceeded")] * 5)
    made, metrics = previews(pool)
    for _ in range(5):
        with pytest.raises(Transient):
            await make(made, read, job())

    async def fail() -> bytes:
        raise Rejected(404, "unknown_image", "gone")

    for _ in range(5):
        with pytest.raises(Rejected):
            await make(made, fail, job())
    assert await make(made, read, job()) == RENDERED
    assert counted(metrics, "failed") == 5
