from __future__ import annotations

import pickle
from collections.abc import Mapping

import numpy as np
import pytest
from imagesystem.errors import Permanent, Rejected, Transient
from imagesystem.events import INFERRED, Analysis, Labels
from imagesystem.topology import CONSUMERS
from inference_service.analysis import analyse_picture
from inference_service.answers import ANSWERS
from inference_service.decoding import Picture
from inference_service.looking import Began, Limits, Verdict, look
from inference_service.models import BUILT_IN, Model, Result
from inference_service.tasks import TASKS, dependants, in_order

from services.inference.tests.specimens import model_of, png
from services.inference.tests.stage import everything

LIMITS = Limits(max_pixels=1_000_000)


def verdicts(data: bytes, models: list[Model], found: Mapping[str, Result] = {}) -> list[Verdict]:
    told = everything(look(data, models, found, LIMITS))
    return [item for item in told if isinstance(item, Verdict)]


def test_every_task_has_a_model_a_fact_an_answer_and_a_durable() -> None:
    assert set(TASKS) == set(INFERRED) == set(ANSWERS) == set(BUILT_IN)
    for name in TASKS:
        assert CONSUMERS[f"inference-{name}"].subjects == (f"commands.v1.infer.{name}.*",)
        assert BUILT_IN[name].task == name


def test_what_others_rest_on_is_run_before_them() -> None:
    order = in_order(set(TASKS))
    for task in TASKS.values():
        assert all(order.index(need) < order.index(task.name) for need in task.needs)
        assert all(task.name in dependants(need) for need in task.needs)


def test_what_is_told_travels_between_processes() -> None:
    told = list(everything(look(png(), [BUILT_IN["analysis"]], {}, LIMITS)))
    began, verdict = pickle.loads(pickle.dumps(told))
    assert isinstance(began, Began)
    assert began.task == "analysis"
    assert began.decoded_ms is not None
    assert isinstance(verdict, Verdict)
    assert isinstance(verdict.result, Analysis)
    assert (verdict.model, verdict.version) == ("classical-measurements", "1")
    assert verdict.result.colours[0].name == "teal"
    assert pickle.loads(pickle.dumps(list(BUILT_IN.values()))) == list(BUILT_IN.values())


def test_what_cannot_be_decoded_is_refused_for_all_tasks() -> None:
    with pytest.raises(Rejected):
        verdicts(b"no picture", [BUILT_IN["analysis"]])


def test_each_task_has_its_own_verdict_and_its_own_size() -> None:
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

    reached = verdicts(
        png(size=(600, 400)),
        [
            model_of("analysis", seen, side=64),
            model_of("embedding", broken),
            model_of("objects", refusing),
            model_of("faces", waiting),
            model_of("text", greedy),
            model_of("analysis", seen, side=300),
        ],
    )
    assert [(v.task, v.code, v.transient, v.fault) for v in reached] == [
        ("analysis", "", False, False),
        ("embedding", "task_failed", False, True),
        ("objects", "nothing_there", False, False),
        ("faces", "model_loading", True, True),
        ("text", "out_of_memory", True, True),
        ("analysis", "", False, False),
    ]
    assert sides == [64, 300]
    results = [v.result for v in reached if isinstance(v.result, Analysis)]
    assert [(result.width, result.height) for result in results] == [(600, 400)] * 2
    assert next(v.message for v in reached if v.task == "embedding") == "IndexError: a bug"


def test_labels_rest_on_what_was_just_found() -> None:
    (_, labels) = verdicts(png("navy"), [BUILT_IN["analysis"], BUILT_IN["labels"]])
    assert isinstance(labels.result, Labels)
    assert "navy" in [label.name for label in labels.result.labels]
    assert labels.result.missing == ["objects", "faces", "text"]


def test_labels_wait_when_what_they_need_fails_here() -> None:
    def broken(_: Picture) -> Analysis:
        raise IndexError("a bug")

    models = [model_of("analysis", broken), BUILT_IN["labels"]]
    assert [verdict.task for verdict in verdicts(png(), models)] == ["analysis"]


def test_a_picture_is_reduced_but_never_enlarged() -> None:
    picture = Picture(pixels=np.zeros((10, 20, 3), np.uint8), width=20, height=10)
    assert picture.reduced(100) is picture
    assert picture.reduced(5).pixels.shape == (2, 5, 3)
