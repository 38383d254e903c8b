from __future__ import annotations

import hashlib
import io
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from imagesystem import ids
from imagesystem.bus import Consumption
from imagesystem.errors import Permanent, Transient
from imagesystem.events import (
    AnalysisInferred,
    DeadLetter,
    Deleted,
    Fact,
    Failed,
    Infer,
    Planned,
    Uploaded,
)
from imagesystem.memory import MemoryPlatform
from imagesystem.metrics import Metrics, render
from imagesystem.topology import CONSUMERS
from imagesystem.workers import WorkerDied
from inference_service import recognition as recognition_module
from inference_service.handlers import InferHandler, UploadedHandler
from inference_service.measures import Measures
from inference_service.recognition import Recognition
from inference_service.tasks import TASKS, Limits, Outcome, Task
from PIL import Image


def png(colour: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(stream, "PNG")
    return stream.getvalue()


class Pool:
    """Runs calls here and now; `trouble` is raised instead, once for each entry."""

    size, waiting = 1, 0

    def __init__(self) -> None:
        self.calls = 0
        self.trouble: list[Exception] = []
        self.change: Callable[[Outcome], Outcome] = lambda outcome: outcome

    async def run(self, function: Callable[..., Any], *args: object, deadline_s: float) -> Any:
        assert deadline_s == 5
        self.calls += 1
        if self.trouble:
            raise self.trouble.pop(0)
        return self.change(function(*args))


class Stage:
    """The service's handlers on the in-memory platform."""

    def __init__(self) -> None:
        self.platform, self.pool = MemoryPlatform(), Pool()
        self.bus, self.originals = self.platform.bus, self.platform.bucket("originals")
        self.metrics = Metrics()
        limits = Limits(max_pixels=10_000)
        self.recognition = Recognition(
            self.bus,
            self.originals,
            self.pool,  # type: ignore[arg-type]
            limits,
            Measures(self.metrics),
            deadline_s=5,
        )
        self.consumptions: list[Consumption] = []

    async def listen(self) -> None:
        uploaded = UploadedHandler(self.recognition, ("analysis",))
        again = InferHandler(self.recognition)
        for name, handler in (("inference-uploaded", uploaded), ("inference-analysis", again)):
            self.consumptions.append(
                await self.bus.consume(CONSUMERS[name], handler.handle, gave_up=handler.gave_up)
            )

    async def stop(self) -> None:
        while self.consumptions:
            await self.consumptions.pop().stop()

    async def upload(self, data: bytes, *, keep: bool = True) -> str:
        image_id = ids.image_id(data)
        if keep:
            await self.originals.put(image_id, data)
        await self.bus.publish(
            Uploaded(
                image_id=image_id,
                filename="a.png",
                media_type="image/png",
                size_bytes=len(data),
                width=40,
                height=30,
                frames=1,
                sha256=hashlib.sha256(data).hexdigest(),
                uploaded_at=ids.now(),
            )
        )
        await self.bus.settle()
        return image_id

    async def again(self, image_id: str) -> None:
        await self.bus.publish(Infer(image_id=image_id, task="analysis", requested_at=ids.now()))
        await self.bus.settle()

    async def facts(self, image_id: str) -> list[Fact]:
        return [r.event for r in await self.bus.facts(image_id)]

    def fact(self, image_id: str, name: str) -> Any:
        found = self.bus.log.get(f"images.v1.{image_id}.{name}")
        return found.event if found else None

    def letters(self) -> list[DeadLetter]:
        events = [received.event for received in self.bus.log.values()]
        return [event for event in events if isinstance(event, DeadLetter)]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    await stage.listen()
    yield stage
    await stage.stop()


async def test_an_upload_is_planned_then_analysed(stage: Stage) -> None:
    image_id = await stage.upload(png("teal"))
    kinds = [type(fact) for fact in await stage.facts(image_id)]
    assert kinds == [Uploaded, Planned, AnalysisInferred]
    assert stage.fact(image_id, "planned").tasks == ["analysis"]
    fact = stage.fact(image_id, "inferred.analysis")
    assert fact.result.colours[0].name == "teal"
    row = TASKS["analysis"]
    assert (fact.model, fact.model_version, fact.attempts) == (row.model, row.version, 1)
    assert not stage.letters()
    assert b'inference_tasks_total{outcome="done",task="analysis"} 1.0' in render(stage.metrics)


async def test_what_is_done_is_not_done_again(stage: Stage) -> None:
    await stage.upload(png("teal"))
    before = dict(stage.bus.log)
    await stage.stop()
    await stage.listen()  # the log is delivered from its beginning
    await stage.bus.settle()
    assert stage.pool.calls == 1
    assert dict(stage.bus.log) == before


async def test_a_new_version_of_a_model_is_new_work(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = await stage.upload(png("teal"))
    newer = msgspec.structs.replace(TASKS["analysis"], version="next")
    monkeypatch.setitem(TASKS, "analysis", newer)
    await stage.stop()
    await stage.listen()
    await stage.bus.settle()
    assert stage.fact(image_id, "inferred.analysis").model_version == "next"


async def test_an_undecodable_picture_is_parked_and_its_tasks_failed(stage: Stage) -> None:
    data = png("teal")[:-30]
    image_id = await stage.upload(data)
    failed = stage.fact(image_id, "failed.analysis")
    assert (failed.code, failed.attempts) == ("corrupt_pixels", 1)
    assert stage.fact(image_id, "planned").tasks == ["analysis"]
    assert [(letter.image_id, letter.code) for letter in stage.letters()] == [
        (image_id, "corrupt_pixels")
    ]
    assert stage.pool.calls == 1


async def test_a_dying_worker_is_tried_again(stage: Stage) -> None:
    stage.pool.trouble = [WorkerDied("died"), WorkerDied("died")]
    image_id = await stage.upload(png("teal"))
    assert stage.fact(image_id, "inferred.analysis").attempts == 3
    assert not stage.letters()


async def test_a_picture_that_always_kills_its_worker_is_parked(stage: Stage) -> None:
    attempts = CONSUMERS["inference-uploaded"].attempts
    stage.pool.trouble = [WorkerDied("died")] * attempts
    image_id = await stage.upload(png("teal"))
    failed = stage.fact(image_id, "failed.analysis")
    assert failed is not None
    assert stage.pool.calls == attempts
    assert len(stage.letters()) == 1


async def test_an_original_that_is_late_is_waited_for(stage: Stage) -> None:
    data = png("teal")
    image_id = await stage.upload(data, keep=False)
    assert stage.fact(image_id, "inferred.analysis") is None
    assert stage.fact(image_id, "failed.analysis") is not None
    assert stage.pool.calls == 0


async def test_a_deleted_image_is_left_alone(stage: Stage) -> None:
    await stage.stop()
    data = png("teal")
    image_id = await stage.upload(data, keep=False)
    await stage.bus.publish(Deleted(image_id=image_id, reason="asked", deleted_at=ids.now()))
    before = dict(stage.bus.log)
    await stage.listen()
    await stage.bus.settle()
    assert dict(stage.bus.log) == before
    assert stage.pool.calls == 0


async def test_an_image_deleted_meanwhile_leaves_no_facts_and_no_letter(stage: Stage) -> None:
    data = png("teal")

    def delete(outcome: Outcome) -> Outcome:
        tombstone = Deleted(image_id=ids.image_id(data), reason="asked", deleted_at=ids.now())
        received = next(iter(stage.bus.log.values()))
        stage.bus.log[tombstone.subject] = msgspec.structs.replace(
            received, event=tombstone, subject=tombstone.subject, sequence=99
        )
        return outcome

    stage.pool.change = delete
    image_id = await stage.upload(data)
    assert stage.fact(image_id, "inferred.analysis") is None
    assert not stage.letters()


async def test_an_upload_that_a_newer_one_replaced_is_not_worked_on(stage: Stage) -> None:
    await stage.stop()
    data = png("teal")
    await stage.originals.put(ids.image_id(data), data)
    await stage.listen()
    image_id = await stage.upload(data)
    old = stage.bus.log[f"images.v1.{image_id}.uploaded"]
    calls = stage.pool.calls
    await stage.upload(data)
    handler = UploadedHandler(stage.recognition, ("analysis",))
    await handler.handle(old)
    assert stage.pool.calls == calls + 1


async def test_an_upload_after_a_deletion_is_analysed_anew(stage: Stage) -> None:
    data = png("teal")
    image_id = await stage.upload(data)
    await stage.upload(data)  # its facts are older than this upload: of another life
    assert stage.pool.calls == 2
    sequences = {r.event.kind: r.sequence for r in await stage.bus.facts(image_id)}
    assert sequences["uploaded"] < sequences["planned"] < sequences["inferred"]


async def test_a_task_runs_again_when_asked(stage: Stage) -> None:
    image_id = await stage.upload(png("teal"))
    first = stage.bus.log[f"images.v1.{image_id}.inferred.analysis"].sequence
    await stage.again(image_id)
    assert stage.bus.log[f"images.v1.{image_id}.inferred.analysis"].sequence > first
    assert stage.pool.calls == 2


async def test_a_failure_is_over_when_the_task_succeeds(stage: Stage) -> None:
    stage.pool.trouble = [Permanent("no", code="not_today")]
    image_id = await stage.upload(png("teal"))
    assert stage.fact(image_id, "failed.analysis").code == "not_today"
    heard: list[Failed] = []

    async def hear(received: Any) -> None:
        heard.append(received.event)

    listener = msgspec.structs.replace(
        CONSUMERS["metadata-facts"], subjects=("images.v1.*.failed.*",)
    )
    consumption = await stage.bus.consume(listener, hear)
    await stage.again(image_id)
    await stage.bus.settle()
    await consumption.stop()
    assert [failed.resolved for failed in heard] == [False, True]
    assert stage.fact(image_id, "failed.analysis") is None
    assert stage.fact(image_id, "inferred.analysis") is not None


async def test_asking_for_an_unknown_image_is_parked_without_a_fact(stage: Stage) -> None:
    image_id = ids.image_id(b"never uploaded")
    await stage.again(image_id)
    assert [letter.code for letter in stage.letters()] == ["unknown_image"]
    assert await stage.facts(image_id) == []


@pytest.fixture
def two_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second task, whose fact has the shape of the first one's."""
    other: Task = msgspec.structs.replace(TASKS["analysis"], name="other")
    monkeypatch.setitem(TASKS, "other", other)
    monkeypatch.setitem(recognition_module.INFERRED, "other", AnalysisInferred)


def spoiled(task: str, *, transient: bool, times: int) -> Callable[[Outcome], Outcome]:
    left = [times]

    def change(outcome: Outcome) -> Outcome:
        if not left[0]:
            return outcome
        left[0] -= 1
        verdicts = tuple(
            msgspec.structs.replace(v, result=None, code="odd", message="x", transient=transient)
            if v.task == task
            else v
            for v in outcome.verdicts
        )
        return msgspec.structs.replace(outcome, verdicts=verdicts)

    return change


async def two(stage: Stage) -> str:
    data = png("teal")
    image_id = ids.image_id(data)
    await stage.stop()
    handler = UploadedHandler(stage.recognition, ("analysis", "other"))
    stage.consumptions = [
        await stage.bus.consume(
            CONSUMERS["inference-uploaded"], handler.handle, gave_up=handler.gave_up
        )
    ]
    await stage.upload(data)
    return image_id


@pytest.mark.usefixtures("two_tasks")
async def test_one_tasks_failure_does_not_take_the_other_along(stage: Stage) -> None:
    stage.pool.change = spoiled("other", transient=False, times=9)
    image_id = await two(stage)
    assert stage.fact(image_id, "planned").tasks == ["analysis", "other"]
    assert stage.fact(image_id, "inferred.analysis") is not None
    assert stage.fact(image_id, "failed.analysis") is None
    failed = stage.fact(image_id, "failed.other")
    assert (failed.code, failed.message) == ("odd", "x")
    assert [letter.code for letter in stage.letters()] == ["odd"]


@pytest.mark.usefixtures("two_tasks")
async def test_only_the_missing_task_is_tried_again(stage: Stage) -> None:
    stage.pool.change = spoiled("other", transient=True, times=1)
    seen: list[tuple[str, ...]] = []
    look = stage.recognition.look

    async def watched(data: bytes, tasks: Any) -> Outcome:
        seen.append(tuple(tasks))
        return await look(data, tasks)

    stage.recognition.look = watched  # type: ignore[method-assign]
    image_id = await two(stage)
    assert seen == [("analysis", "other"), ("other",)]
    assert stage.fact(image_id, "inferred.other").attempts == 2
    assert not stage.letters()


async def test_a_store_that_is_down_burns_no_attempt_here(stage: Stage) -> None:
    """The loop holds the message on `Unavailable`: the handler lets it through as it is."""
    data = png("teal")
    image_id = await stage.upload(data)
    stage.originals.down = True
    with pytest.raises(Transient) as caught:
        await stage.recognition.original(image_id)
    assert caught.value.code == "unavailable"
