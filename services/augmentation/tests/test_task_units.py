"""When a unit is given up: what stalls or kills a worker is not tried as often as the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from augmentation_service.measures import Measures
from augmentation_service.settings import Settings
from augmentation_service.tasks.documents import SentFile, Task
from augmentation_service.tasks.ledger import Ledger
from augmentation_service.tasks.sources import Sources
from augmentation_service.tasks.units import Units
from imagesystem import ids
from imagesystem.bus import Received
from imagesystem.errors import Permanent, Transient
from imagesystem.events import Augment, Event
from imagesystem.memory import MemoryPlatform
from imagesystem.metrics import Metrics
from imagesystem.originals import Originals
from imagesystem.workers import WorkerDied, WorkerPool


class FailingPool:
    """Fails every call in the same way."""

    size = 1

    def __init__(self, error: Transient) -> None:
        self.error = error
        self.calls = 0

    async def run(self, function: Callable[..., Any], *args: object, **more: object) -> Any:
        self.calls += 1
        raise self.error


class Bench:
    """A task of one unit, whose picture came with it, and a pool that fails."""

    def __init__(self, error: Transient) -> None:
        self.platform, self.pool = MemoryPlatform(), FailingPool(error)
        self.ledger = Ledger(self.platform.key_value("tasks"))
        variants = self.platform.bucket("variants")
        self.units = Units(
            bus=self.platform.bus,
            variants=variants,
            sources=Sources(
                Originals(self.platform.bus, self.platform.bucket("originals")), variants
            ),
            ledger=self.ledger,
            pool=cast("WorkerPool", self.pool),
            measures=Measures(Metrics()),
            settings=Settings(),
        )
        task_id = ids.new_id()
        self.task = Task(
            task_id=task_id,
            kind="scale",
            variants=1,
            created_at=ids.now(),
            chains=[[]],
            files=[SentFile(name="p.png", sha256="0" * 64, size_bytes=7)],
        )

    async def begin(self) -> None:
        await self.ledger.create(self.task)
        await self.platform.bucket("variants").put(self.task.file_object(0), b"picture")

    def delivery(self, attempts: int) -> Received[Event]:
        command = Augment(task_id=self.task.task_id, number=0, requested_at=ids.now())
        return Received(
            event=command,
            subject=command.subject,
            sequence=1,
            published_at=ids.now(),
            attempts=attempts,
        )


@pytest.mark.parametrize(
    ("error", "last"),
    [
        (Transient("slow", code="deadline_exceeded"), 2),
        (WorkerDied("dead"), 3),
        (Transient("no memory", code="out_of_memory"), None),
    ],
)
async def test_what_is_tried_again_and_what_is_given_up(error: Transient, last: int | None) -> None:
    bench = Bench(error)
    await bench.begin()
    for attempts in range(1, last or 9):
        with pytest.raises(Transient):
            await bench.units.make(bench.delivery(attempts))
    if last is not None:
        with pytest.raises(Permanent) as given_up:
            await bench.units.make(bench.delivery(last))
        assert given_up.value.code == error.code


async def test_a_unit_that_has_a_result_is_left_alone() -> None:
    bench = Bench(WorkerDied("dead"))
    await bench.begin()
    await bench.units.gave_up(bench.delivery(3), Permanent("dead", code="worker_died"), 3)
    await bench.units.make(bench.delivery(4))
    assert bench.pool.calls == 0
    found = await bench.ledger.result(bench.task.task_id, 0)
    assert found is not None
    assert (found.outcome, found.code, found.attempts) == ("failed", "worker_died", 3)


@pytest.mark.parametrize("end", ["cancel", "forget"])
async def test_no_unit_is_made_of_a_task_that_is_over(end: str) -> None:
    bench = Bench(WorkerDied("dead"))
    await bench.begin()
    await getattr(bench.ledger, end)(bench.task.task_id)
    await bench.units.make(bench.delivery(1))
    assert bench.pool.calls == 0
