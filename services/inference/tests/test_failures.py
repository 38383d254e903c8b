"""What follows when something fails: for the task, for the others, for the message."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from imagesystem import ids
from imagesystem.errors import Permanent, Transient, Unavailable
from imagesystem.events import (
    Failed,
    Infer,
    Text,
)
from imagesystem.topology import CONSUMERS
from imagesystem.workers import WorkerDied
from inference_service.breakers import FAILURES
from inference_service.handlers import InferHandler

from services.inference.tests.specimens import model_of, png
from services.inference.tests.stage import ALL, Stage


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


async def test_another_model_is_not_left_alone_for_what_the_one_before_did(full: Stage) -> None:
    for number in range(FAILURES):
        full.recognition._examination.breakers["faces"].failed(str(number), "a bug")
    assert full.recognition.trouble("faces") is not None
    full.models.use(msgspec.structs.replace(full.models["faces"], version="next"))
    assert full.recognition.trouble("faces") is None
    assert full.recognition.allows("faces")


async def test_a_store_that_is_down_burns_no_attempt_here(stage: Stage) -> None:
    """The loop holds the message on `Unavailable`: the handler lets it through as it is."""
    data = png("teal")
    image_id = await stage.upload(data)
    stage.originals.down = True
    with pytest.raises(Transient) as caught:
        await stage.recognition.original(image_id)
    assert caught.value.code == "unavailable"
