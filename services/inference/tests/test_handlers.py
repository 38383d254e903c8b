from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from imagesystem import ids
from imagesystem.bus import Consumption
from imagesystem.errors import Permanent, Transient, Unavailable
from imagesystem.events import (
    AnalysisInferred,
    DeadLetter,
    Deleted,
    Fact,
    Failed,
    Infer,
    Planned,
    Text,
    Uploaded,
)
from imagesystem.memory import MemoryPlatform
from imagesystem.metrics import Metrics, render
from imagesystem.topology import CONSUMERS
from imagesystem.workers import WorkerDied
from inference_service.breakers import FAILURES
from inference_service.decoding import Picture
from inference_service.examination import Examination
from inference_service.handlers import InferHandler, UploadedHandler
from inference_service.looking import Began, Limits, Told
from inference_service.measures import Measures
from inference_service.models import Result
from inference_service.recognition import Recognition
from inference_service.tasks import TASKS

from services.inference.tests.specimens import model_of, png, quick_models

ALL = tuple(TASKS)


class Pool:
    """Runs calls here and now; `trouble` is raised instead, once for each entry.

    A task in `deadly` kills its worker, so many times.
    """

    size, waiting = 1, 0

    def __init__(self) -> None:
        self.calls = 0
        self.tasks: list[list[str]] = []
        self.patience: list[bool] = []
        self.trouble: list[Exception] = []
        self.deadly: dict[str, int] = {}
        self.meanwhile: Callable[[], None] = lambda: None

    async def stream(
        self,
        function: Callable[..., Iterator[Told]],
        *args: Any,
        tell: Callable[[Told], None],
        deadline_s: float,
        called: str,
        patient: bool,
    ) -> None:
        assert deadline_s == 5
        self.calls += 1
        self.tasks.append([model.task for model in args[1]])
        self.patience.append(patient)
        if self.trouble:
            raise self.trouble.pop(0)
        for told in function(*args):
            tell(told)
            if isinstance(told, Began) and self.deadly.get(told.task, 0):
                self.deadly[told.task] -= 1
                raise WorkerDied("died")
        self.meanwhile()


class Stage:
    """The service's handlers on the in-memory platform."""

    def __init__(self, tasks: Sequence[str] = ("analysis",)) -> None:
        self.platform, self.pool, self.models = MemoryPlatform(), Pool(), quick_models()
        self.bus, self.originals = self.platform.bus, self.platform.bucket("originals")
        self.metrics, self.tasks, self.now = Metrics(), tasks, 0.0
        measures = Measures(self.metrics)
        examination = Examination(
            self.pool,  # type: ignore[arg-type]
            self.models,
            Limits(max_pixels=10_000),
            measures,
            deadline_s=5,
            clock=lambda: self.now,
        )
        self.recognition = Recognition(self.bus, self.originals, examination, measures)
        self.consumptions: list[Consumption] = []

    async def listen(self, *names: str) -> None:
        """Consume what the durables of these names hear, or all."""
        again = InferHandler(self.recognition)
        handlers: dict[str, InferHandler | UploadedHandler] = {
            "inference-uploaded": UploadedHandler(self.recognition, self.tasks),
            **{f"inference-{task}": again for task in TASKS},
        }
        for name in names or handlers:
            handler = handlers[name]
            self.consumptions.append(
                await self.bus.consume(CONSUMERS[name], handler.handle, gave_up=handler.gave_up)
            )

    async def stop(self) -> None:
        while self.consumptions:
            await self.consumptions.pop().stop()

    def breaks(self, task: str, error: Exception, times: int = 10_000) -> None:
        """Have the model of `task` raise `error` so many times."""
        model, left = self.models[task], [times]

        def find(picture: Picture) -> Result:
            left[0] -= 1
            if left[0] >= 0:
                raise error
            return model.run(picture, {})

        self.models.use(model_of(task, find, slow=model.slow))

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

    async def again(self, image_id: str, task: str = "analysis") -> None:
        await self.bus.publish(Infer(image_id=image_id, task=task, requested_at=ids.now()))
        await self.bus.settle()

    async def facts(self, image_id: str) -> list[Fact]:
        return [r.event for r in await self.bus.facts(image_id)]

    def fact(self, image_id: str, name: str) -> Any:
        found = self.bus.log.get(f"images.v1.{image_id}.{name}")
        return found.event if found else None

    def answered(self, image_id: str) -> list[str]:
        return [task for task in TASKS if self.fact(image_id, f"inferred.{task}")]

    def letters(self) -> list[DeadLetter]:
        events = [received.event for received in self.bus.log.values()]
        return [event for event in events if isinstance(event, DeadLetter)]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    await stage.listen()
    yield stage
    await stage.stop()


@pytest.fixture
async def full() -> AsyncIterator[Stage]:
    stage = Stage(ALL)
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
    model = stage.models["analysis"]
    assert (fact.model, fact.model_version, fact.attempts) == (model.name, model.version, 1)
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


async def test_a_new_version_of_a_model_is_new_work(stage: Stage) -> None:
    image_id = await stage.upload(png("teal"))
    stage.models.use(msgspec.structs.replace(stage.models["analysis"], version="next"))
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

    def delete() -> None:
        tombstone = Deleted(image_id=ids.image_id(data), reason="asked", deleted_at=ids.now())
        received = next(iter(stage.bus.log.values()))
        stage.bus.log[tombstone.subject] = msgspec.structs.replace(
            received, event=tombstone, subject=tombstone.subject, sequence=99
        )

    stage.pool.meanwhile = delete
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


async def test_all_tasks_are_run_on_one_decode(full: Stage) -> None:
    image_id = await full.upload(png("teal"))
    assert full.fact(image_id, "planned").tasks == list(ALL)
    assert full.answered(image_id) == list(ALL)
    assert full.pool.tasks == [list(ALL)]
    assert full.fact(image_id, "inferred.labels").result.missing == []
    assert not full.letters()
    assert b"inference_decode_seconds_count 1.0" in render(full.metrics)


async def test_answers_are_said_in_the_order_in_which_they_are_found(full: Stage) -> None:
    image_id = await full.upload(png("teal"))
    facts = await full.bus.facts(image_id)
    said = [r.event.key for r in facts if r.event.kind == "inferred"]
    assert said == list(ALL)


async def test_one_tasks_failure_does_not_take_the_others_along(full: Stage) -> None:
    full.breaks("faces", Permanent("no", code="not_today"))
    image_id = await full.upload(png("teal"))
    assert full.answered(image_id) == [task for task in ALL if task != "faces"]
    assert full.fact(image_id, "failed.faces").code == "not_today"
    (letter,) = full.letters()
    assert (letter.consumer, letter.code) == ("inference-faces", "not_today")
    labels = full.fact(image_id, "inferred.labels").result
    assert labels.missing == ["faces"]  # said, and not silently left out


async def test_what_may_work_later_is_tried_again_alone(full: Stage) -> None:
    full.breaks("objects", Transient("busy", code="model_loading"), times=2)
    image_id = await full.upload(png("teal"))
    assert full.answered(image_id) == list(ALL)
    # its own command, then what rests on it
    assert full.pool.tasks == [list(ALL), ["objects"], ["objects"], ["labels"]]
    assert full.fact(image_id, "inferred.objects").attempts == 2
    assert full.fact(image_id, "inferred.labels").result.missing == []
    assert full.pool.patience == [False, True, True, True]


async def test_an_answer_too_large_for_a_fact_is_a_failure_of_its_task(full: Stage) -> None:
    huge = Text(width=1, height=1, text="x" * 300_000, lines=[], languages=[])
    full.models.use(model_of("text", lambda _: huge, slow=True))
    image_id = await full.upload(png("teal"))
    assert full.fact(image_id, "failed.text").code == "result_too_large"
    assert "faces" in full.answered(image_id)


async def test_a_task_that_kills_its_worker_is_found_out(full: Stage) -> None:
    full.pool.deadly = {"text": 10_000}
    image_id = await full.upload(png("teal"))
    assert full.answered(image_id) == [task for task in ALL if task != "text"]
    assert full.fact(image_id, "failed.text").code == "worker_died"
    (letter,) = full.letters()
    assert letter.consumer == "inference-text"
    assert full.fact(image_id, "inferred.labels").result.missing == ["text"]


async def test_a_task_that_killed_its_worker_once_is_tried_again(full: Stage) -> None:
    full.pool.deadly = {"analysis": 1}
    image_id = await full.upload(png("teal"))
    assert full.answered(image_id) == list(ALL)
    rest = [task for task in ALL if task not in ("analysis", "labels")]
    assert full.pool.tasks == [list(ALL), rest, ["analysis"], ["labels"]]


async def test_slow_tasks_make_way_while_others_wait(full: Stage) -> None:
    full.pool.size = 0
    image_id = await full.upload(png("teal"))
    assert full.answered(image_id) == list(ALL)
    first, *rest = full.pool.tasks
    assert first == ["analysis", "embedding"]
    assert sorted(rest[:3]) == [["faces"], ["objects"], ["text"]]
    assert rest[3:]
    assert set(map(tuple, rest[3:])) == {("labels",)}
    assert not any(full.pool.patience[:1])
    assert all(full.pool.patience[1:])
    assert full.fact(image_id, "inferred.labels").result.missing == []


async def test_a_paused_task_waits_and_the_others_do_not(full: Stage) -> None:
    until = ids.now() + timedelta(hours=1)
    await full.bus.pause(CONSUMERS["inference-faces"], until)
    image_id = await full.upload(png("teal"))
    expected = [task for task in ALL if task not in ("faces", "labels")]
    assert full.answered(image_id) == expected
    assert full.fact(image_id, "failed.faces") is None
    await full.bus.pause(CONSUMERS["inference-faces"], None)
    await full.bus.settle()
    assert full.answered(image_id) == list(ALL)


async def test_labels_follow_when_what_they_rest_on_is_answered_anew(full: Stage) -> None:
    image_id = await full.upload(png("teal"))
    before = full.bus.log[f"images.v1.{image_id}.inferred.labels"].sequence
    await full.again(image_id, "text")
    assert full.bus.log[f"images.v1.{image_id}.inferred.labels"].sequence > before
    assert full.pool.tasks[1:] == [["text"], ["labels"]]


async def test_labels_alone_rest_on_what_was_said(full: Stage) -> None:
    image_id = await full.upload(png("navy"))
    await full.again(image_id, "labels")
    assert full.pool.tasks[1:] == [["labels"]]
    labels = full.fact(image_id, "inferred.labels").result
    assert "navy" in [label.name for label in labels.labels]


async def test_labels_look_for_what_nobody_has_said() -> None:
    stage = Stage(("labels",))
    await stage.listen()
    image_id = await stage.upload(png("navy"))
    await stage.stop()
    assert stage.answered(image_id) == ["labels"]
    labels = stage.fact(image_id, "inferred.labels").result
    assert (labels.missing, "navy" in [label.name for label in labels.labels]) == ([], True)


async def test_a_model_that_always_fails_is_left_alone_and_the_others_go_on(full: Stage) -> None:
    await full.stop()
    await full.listen("inference-uploaded")
    full.breaks("faces", IndexError("a bug"), times=FAILURES)
    images = [await full.upload(png(f"#0000{number:02x}")) for number in range(FAILURES)]
    trouble = full.recognition.trouble("faces")
    assert trouble is not None
    assert "a bug" in trouble
    assert full.recognition.trouble("text") is None
    images.append(await full.upload(png("gold")))
    assert "faces" not in full.pool.tasks[-1]
    some = [task for task in ALL if task not in ("faces", "labels")]
    assert [full.answered(image_id) for image_id in images] == [some] * len(images)
    full.now += 1000  # it is tried again, and has recovered
    await full.stop()
    await full.listen()
    await full.bus.settle()
    assert full.recognition.trouble("faces") is None
    assert [full.answered(image_id) for image_id in images] == [list(ALL)] * len(images)
    assert not full.letters()


async def test_a_command_is_held_while_its_model_fails(full: Stage) -> None:
    image_id = await full.upload(png("teal"))
    await full.stop()
    for number in range(FAILURES):
        full.recognition._examination.breakers["faces"].failed(str(number), "a bug")
    await full.bus.publish(Infer(image_id=image_id, task="faces", requested_at=ids.now()))
    command = full.bus.log[f"commands.v1.infer.faces.{image_id}"]
    with pytest.raises(Unavailable, match="a bug"):
        await InferHandler(full.recognition).handle(command)


async def test_a_store_that_is_down_burns_no_attempt_here(stage: Stage) -> None:
    """The loop holds the message on `Unavailable`: the handler lets it through as it is."""
    data = png("teal")
    image_id = await stage.upload(data)
    stage.originals.down = True
    with pytest.raises(Transient) as caught:
        await stage.recognition.original(image_id)
    assert caught.value.code == "unavailable"
