from __future__ import annotations

import io
import pickle

import msgspec
import numpy as np
import pytest
from imagesystem.errors import Permanent, Rejected, Transient
from imagesystem.events import INFERRED, Analysis
from imagesystem.topology import CONSUMERS
from inference_service import tasks
from inference_service.analysis import analyse_picture
from inference_service.decoding import Picture
from inference_service.tasks import TASKS, Limits, Task, analyse, prepare_worker
from PIL import Image

LIMITS = Limits(max_pixels=1_000_000)


def png(colour: str = "teal", size: tuple[int, int] = (40, 30)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "PNG")
    return stream.getvalue()


def test_every_task_has_its_fact_and_its_durable() -> None:
    assert set(TASKS) <= set(INFERRED)
    for name in TASKS:
        assert CONSUMERS[f"inference-{name}"].subjects == (f"commands.v1.infer.{name}.*",)


def test_an_outcome_travels_between_processes() -> None:
    outcome = analyse(png(), ["analysis"], LIMITS)
    (verdict,) = pickle.loads(pickle.dumps(outcome)).verdicts
    assert isinstance(verdict.result, Analysis)
    assert verdict.result.colours[0].name == "teal"
    assert verdict.duration_ms > 0


def test_what_cannot_be_decoded_is_refused_for_all_tasks() -> None:
    with pytest.raises(Rejected):
        analyse(b"no picture", ["analysis"], LIMITS)


def test_each_task_has_its_own_verdict_and_its_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    sides: list[int] = []

    def seen(picture: Picture) -> Analysis:
        sides.append(max(picture.pixels.shape))
        return analyse_picture(picture)

    def broken(_: Picture) -> Analysis:
        raise IndexError("a bug")

    def refusing(_: Picture) -> Analysis:
        raise Permanent("nothing to see", code="nothing_there")

    def waiting(_: Picture) -> Analysis:
        raise Transient("the model is loading", code="model_loading")

    def greedy(_: Picture) -> Analysis:
        raise MemoryError

    base = TASKS["analysis"]
    table: dict[str, Task] = {}
    for name, run, side in [
        ("small", seen, 64),
        ("broken", broken, 32),
        ("refusing", refusing, 32),
        ("waiting", waiting, 32),
        ("greedy", greedy, 32),
        ("large", seen, 300),
    ]:
        table[name] = msgspec.structs.replace(base, name=name, run=run, side=side)
    monkeypatch.setattr(tasks, "TASKS", table)

    outcome = analyse(png(size=(600, 400)), list(table), LIMITS)
    told = {verdict.task: (verdict.code, verdict.transient) for verdict in outcome.verdicts}
    assert told == {
        "small": ("", False),
        "broken": ("task_failed", False),
        "refusing": ("nothing_there", False),
        "waiting": ("model_loading", True),
        "greedy": ("out_of_memory", True),
        "large": ("", False),
    }
    assert sides == [64, 300]
    results = [v.result for v in outcome.verdicts if v.result is not None]
    assert [(result.width, result.height) for result in results] == [(600, 400)] * 2
    assert next(v.message for v in outcome.verdicts if v.task == "broken") == "IndexError: a bug"


def test_a_worker_can_be_prepared() -> None:
    prepare_worker()


def test_a_picture_is_reduced_but_never_enlarged() -> None:
    picture = Picture(pixels=np.zeros((10, 20, 3), np.uint8), width=20, height=10)
    assert picture.reduced(100) is picture
    assert picture.reduced(5).pixels.shape == (2, 5, 3)
