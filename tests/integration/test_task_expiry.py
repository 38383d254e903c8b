"""The end of a task on the real server: what it made, what it kept and what it wrote is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from augmentation_service.settings import Settings
from augmentation_service.tasks.documents import Result, SentFile, Task
from augmentation_service.tasks.ledger import Ledger
from augmentation_service.tasks.planning import Planner
from augmentation_service.tasks.upkeep import Upkeep
from imagesystem import connection, ids
from imagesystem.health import Health
from imagesystem.metrics import Metrics
from imagesystem.platform import Platform

from tests.conftest import nats_server

pytestmark = pytest.mark.integration


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    """What augmentation stands on, with what the registry and metadata own made for it."""
    with nats_server(tmp_path) as server:
        url = f"nats://127.0.0.1:{server.port}"
        for owner in ("registry", "metadata"):
            client = await connection.connect(url, owner)
            await connection.provision(client, owner, Settings(nats_url=url))
            await client.close()
        settings = Settings(nats_url=url)
        async with connection.open_platform(settings, Health("augmentation"), Metrics()) as opened:
            yield opened


def result(task: Task, number: int) -> Result:
    unit = task.unit(number)
    return Result(
        number=number,
        variant_id=unit.variant_id,
        image_id=unit.image_id,
        variant=unit.variant,
        outcome="done" if number % 3 else "failed",
        finished_at=ids.now(),
        object=unit.object,
    )


async def made(platform: Platform, ledger: Ledger, variants: int) -> Task:
    """Return a task with a picture and labels of its own, half done, paused and resumed once."""
    task = Task(
        task_id=ids.new_id(),
        kind="augment",
        variants=variants,
        created_at=ids.now(),
        recipe=[],
        files=[SentFile(name="a.png", sha256="0" * 64, size_bytes=7)],
        labelled=True,
    )
    bucket = platform.bucket("variants")
    await ledger.create(task)
    for name in task.objects:
        await bucket.put(name, b"picture")
    for number in range(task.total):
        await bucket.put(task.unit(number).object, b"picture" * 100)
        await bucket.put(task.unit(number).labels_object, b"{}")
        await ledger.record(task.task_id, result(task, number))
    await ledger.pause(task.task_id)
    await ledger.resume(task.task_id)
    await ledger.note_planned(task.task_id, variants // 2, 1)
    return task


async def test_an_old_task_is_removed_and_nothing_of_it_stays(platform: Platform) -> None:
    keys, bucket = platform.key_value("tasks"), platform.bucket("variants")
    ledger = Ledger(keys)
    task = await made(platform, ledger, 40)
    tally = await ledger.tally(task.task_id)
    assert (tally.done, tally.failed, tally.planned, tally.phase) == (26, 14, 20, "open")
    settings = Settings(results_ttl_s=1e-6)
    planner = Planner(platform.bus, ledger, platform.bucket("manifests"), settings)
    await Upkeep(ledger, planner, bucket, settings).round()
    assert await ledger.task(task.task_id, fresh=True) is None
    assert await keys.count(f"augmentation.{task.task_id}.>") == 0
    kept = [info async for info in bucket.watch(follow=False) if info is not None]
    assert [info.name for info in kept if not info.deleted] == []


async def test_a_young_task_stays_and_goes_on(platform: Platform) -> None:
    ledger = Ledger(platform.key_value("tasks"))
    task = await made(platform, ledger, 4)
    settings = Settings()
    planner = Planner(platform.bus, ledger, platform.bucket("manifests"), settings)
    await Upkeep(ledger, planner, platform.bucket("variants"), settings).round()
    assert (await ledger.tally(task.task_id)).done == 2
    plan = await platform.bus.latest(f"commands.v1.plan.{task.task_id}")
    assert plan is not None
