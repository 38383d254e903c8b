"""What tasks rest on: results that count once, plans that go on, an end that can be resumed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from augmentation_service.settings import Settings
from augmentation_service.tasks.documents import Result, Task
from augmentation_service.tasks.ledger import Ledger
from augmentation_service.tasks.planning import Planner
from augmentation_service.tasks.upkeep import Upkeep
from imagesystem import ids
from imagesystem.bus import Received, Said
from imagesystem.bus.memory import MemoryBus
from imagesystem.errors import Unavailable
from imagesystem.events import Event, Plan
from imagesystem.keyvalue.memory import MemoryKeyValue
from imagesystem.objects.memory import MemoryBucket


def task(images: int = 3, variants: int = 50) -> Task:
    return Task(
        task_id=ids.new_id(),
        kind="augment",
        images=[ids.image_id(bytes([n])) for n in range(images)],
        variants=variants,
        created_at=ids.now(),
        recipe=[],
    )


def result(of: Task, number: int, outcome: Any = "done") -> Result:
    unit = of.unit(number)
    return Result(
        number=number,
        variant_id=unit.variant_id,
        image_id=unit.image_id,
        variant=unit.variant,
        outcome=outcome,
        finished_at=ids.now(),
        object=unit.object,
    )


def planning(of: Task) -> Received[Event]:
    command = Plan(task_id=of.task_id, requested_at=ids.now())
    return Received(event=command, subject=command.subject, sequence=1, published_at=ids.now())


def planner_of(bus: MemoryBus, ledger: Ledger) -> Planner:
    return Planner(bus, ledger, MemoryBucket("manifests"), Settings())


class DyingBus(MemoryBus):
    """Goes away after so many publishes, as a process does that is killed."""

    def __init__(self, lives: int) -> None:
        super().__init__()
        self.lives = lives
        self.published: list[str] = []

    async def publish(self, event: Event, *, expected: int | None = None) -> Said:
        if not self.lives:
            raise Unavailable("nats", "killed")
        self.lives -= 1
        said = await super().publish(event, expected=expected)
        self.published.append(event.subject)
        return said


@pytest.mark.parametrize("lives", [0, 1, 63, 64, 65, 149, 150])
async def test_a_plan_that_died_goes_on(lives: int) -> None:
    made, ledger, bus = task(), Ledger(MemoryKeyValue("tasks")), DyingBus(lives)
    await ledger.create(made)
    planner = planner_of(bus, ledger)
    try:
        await planner.plan(planning(made))
    except Unavailable:
        bus.lives = 1000
        await planner.plan(planning(made))
    wanted = {f"commands.v1.augment.{made.task_id}.{n}" for n in range(150)}
    assert sorted(bus.published) == sorted(wanted)
    assert await ledger.planned(made.task_id) == 150


async def test_a_unit_has_one_result_whoever_writes_it() -> None:
    made, ledger = task(), Ledger(MemoryKeyValue("tasks"))
    await ledger.create(made)
    outcomes = ["done", "failed", "done", "failed"]
    wrote = await asyncio.gather(
        *(ledger.record(made.task_id, result(made, 7, outcome)) for outcome in outcomes)
    )
    assert sum(wrote) == 1
    tally = await ledger.tally(made.task_id)
    assert tally.done + tally.failed == 1


async def test_a_plan_is_never_taken_back() -> None:
    made, ledger = task(), Ledger(MemoryKeyValue("tasks"))
    await ledger.note_planned(made.task_id, 128)
    await ledger.note_planned(made.task_id, 64)
    assert await ledger.planned(made.task_id) == 128


async def test_an_old_task_is_removed_with_all_it_made_and_no_other() -> None:
    keys, bus, variants = MemoryKeyValue("tasks"), MemoryBus(), MemoryBucket("variants")
    ledger = Ledger(keys)
    old, other = task(1, 20), task(1, 2)
    for made in (old, other):
        await ledger.create(made)
        for number in range(made.total):
            await variants.put(made.unit(number).object, b"picture")
            await ledger.record(made.task_id, result(made, number))
    await keys.put(
        f"augmentation.{other.task_id}.task",
        # made in the future: it is young, however long this test takes
        (await keys.get(f"augmentation.{other.task_id}.task")).value.replace(  # type: ignore[union-attr]
            str(other.created_at.year).encode(), b"9000", 1
        ),
    )
    settings = Settings(results_ttl_s=1e-6)
    await Upkeep(ledger, planner_of(bus, ledger), variants, settings).round()
    assert await ledger.task(old.task_id, fresh=True) is None
    assert await keys.count(f"augmentation.{old.task_id}.>") == 0
    kept = {info.name async for info in variants.watch(follow=False) if info is not None}
    assert kept == {other.unit(0).object, other.unit(1).object}
    assert (await ledger.tally(other.task_id)).done == 2


async def test_a_task_that_stands_still_is_planned_again_unless_it_is_cancelled() -> None:
    ledger, bus = Ledger(MemoryKeyValue("tasks")), MemoryBus()
    open_one, cancelled = task(), task()
    for made in (open_one, cancelled):
        await ledger.create(made)
    await ledger.cancel(cancelled.task_id)
    upkeep = Upkeep(ledger, planner_of(bus, ledger), MemoryBucket("variants"), Settings())
    await upkeep.round()
    await upkeep.round()
    assert list(bus.log) == [f"commands.v1.plan.{open_one.task_id}"]


async def test_what_is_resumed_is_planned_again_but_for_what_is_made() -> None:
    made, ledger, bus = task(1, 10), Ledger(MemoryKeyValue("tasks")), MemoryBus()
    await ledger.create(made)
    planner = planner_of(bus, ledger)
    await planner.plan(planning(made))
    for number in (2, 5):
        await ledger.record(made.task_id, result(made, number))
    await ledger.pause(made.task_id)
    assert not await ledger.is_open(made.task_id)
    bus.log.clear()  # handled while it was paused: dropped
    await planner.plan(planning(made))
    assert not bus.log
    await ledger.resume(made.task_id)
    await planner.plan(planning(made))
    numbers = {int(subject.rpartition(".")[2]) for subject in bus.log}
    assert numbers == set(range(10)) - {2, 5}


async def test_what_is_cancelled_is_neither_paused_nor_resumed() -> None:
    made, ledger = task(), Ledger(MemoryKeyValue("tasks"))
    await ledger.create(made)
    await ledger.cancel(made.task_id)
    for turn in (ledger.pause, ledger.resume):
        state = await turn(made.task_id)
        assert state is not None
        assert state.phase == "cancelled"


def test_pictures_to_mix_in_are_others_each_once_and_the_same_whoever_asks() -> None:
    made = task(5, 20)
    for number in range(made.total):
        unit = made.unit(number)
        places = made.others(unit, 3)
        assert len(set(places)) == 3
        assert unit.place not in places
        assert made.others(unit, 3) == places
    assert sorted(made.others(made.unit(0), 9)) == [1, 2, 3, 4]
    assert len({tuple(made.others(made.unit(n), 3)) for n in range(20)}) > 1


def test_a_unit_is_the_same_whoever_asks() -> None:
    made = task(3, 50)
    units = [made.unit(number) for number in range(made.total)]
    assert len({unit.object for unit in units}) == 150
    assert {(unit.image_id, unit.variant) for unit in units} == {
        (image, variant) for image in made.images for variant in range(50)
    }
    assert [made.numbered(unit.variant_id) for unit in units] == list(range(150))
