from __future__ import annotations

from datetime import timedelta

import msgspec
from imagesystem import ids
from imagesystem.events import (
    AnalysisInferred,
    Deleted,
    Planned,
    Uploaded,
)
from imagesystem.metrics import render
from imagesystem.topology import CONSUMERS
from inference_service.handlers import UploadedHandler

from services.inference.tests.specimens import png
from services.inference.tests.stage import ALL, Stage


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
