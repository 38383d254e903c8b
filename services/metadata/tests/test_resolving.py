"""Queries of tasks: what a command to resolve one leaves behind."""

from __future__ import annotations

import msgspec
from imagesystem import ids
from imagesystem.events import Plan, Resolve
from imagesystem.manifests import Manifest

from services.metadata.tests.conftest import Stage
from services.metadata.tests.samples import annotated, deleted, image_id, uploaded

TASK = "0198f3a2-7c11-7d5e-9a10-2b3c4d5e6f70"


def asked(limit: int = 100, **query: list[str]) -> Resolve:
    return Resolve(task_id=TASK, query=query, limit=limit, requested_at=ids.now())


async def resolved(stage: Stage, command: Resolve) -> Manifest:
    await stage.say(command)
    _, data = await stage.platform.bucket("manifests").get(TASK)
    plan = await stage.bus.latest(f"commands.v1.plan.{TASK}")
    assert plan is not None
    assert isinstance(plan.event, Plan)
    return msgspec.json.decode(data, type=Manifest)


async def test_a_query_becomes_the_ids_it_finds_newest_first(stage: Stage) -> None:
    for number in range(1, 6):
        await stage.say(uploaded(image_id(number), minutes=number, width=100 * number))
    await stage.say(deleted(image_id(4)))
    found = await resolved(stage, asked(min_width=["200"]))
    assert found.ids == [image_id(5), image_id(3), image_id(2)]
    assert found.problem is None


async def test_the_list_of_a_task_stays_as_it_is(stage: Stage) -> None:
    await stage.say(uploaded(image_id(1)))
    first = await resolved(stage, asked())
    await stage.say(uploaded(image_id(2)))
    assert await resolved(stage, asked()) == first


async def test_filters_may_have_several_values(stage: Stage) -> None:
    for number in (1, 2):
        await stage.say(uploaded(image_id(number)))
    await stage.say(annotated(image_id(2), tags=("sea", "sun")))
    found = await resolved(stage, asked(tag=["sea", "sun"]))
    assert found.ids == [image_id(2)]


async def test_more_images_than_allowed_are_a_problem_and_no_list(stage: Stage) -> None:
    for number in range(1, 5):
        await stage.say(uploaded(image_id(number)))
    found = await resolved(stage, asked(limit=3))
    assert found.ids == []
    assert found.problem is not None
    assert found.problem.code == "task_too_large"


async def test_a_filter_that_there_is_not_is_a_problem(stage: Stage) -> None:
    found = await resolved(stage, asked(colour_of_the_frame=["red"]))
    assert found.problem is not None
    assert found.problem.code == "unknown_parameter"
    assert "colour_of_the_frame" in found.problem.message
