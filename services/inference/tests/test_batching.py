"""Micro-batching: what is asked of one network by many, in a real session where it matters."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inference_service.networks.batching import Batching, BatchLimits
from inference_service.networks.sessions import Session

from services.inference.tests import onnx_models


def asked_together(batching: Batching, inputs: list[dict[str, Any]]) -> list[Any]:
    """Ask for all at once; returns outputs or errors."""
    found: list[Any] = [None] * len(inputs)

    def ask(number: int) -> None:
        try:
            found[number] = batching.answer(inputs[number])
        except Exception as error:  # noqa: BLE001
            found[number] = error

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_what_comes_together_is_run_together(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_models.classifier())
    session = Session(path, "cpu", 1)
    sizes: list[int] = []

    def run(inputs: Any) -> Any:
        sizes.append(len(inputs["picture"]))
        return session.run(inputs)

    batching = Batching(run, BatchLimits(most=4, wait_s=5.0), free=session.signature.free)
    inputs = [{"picture": np.full((1, 3, 8, 8), n, np.float32)} for n in range(8)]
    found = asked_together(batching, inputs)
    batching.stop()
    assert sizes == [4, 4]
    for number, outputs in enumerate(found):
        assert outputs["logits"] == pytest.approx(np.full((1, 3), 10.0 * number))
    assert (batching.tally.pictures, batching.tally.batches) == (8, 2)


def test_a_model_of_one_picture_is_run_for_each(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_models.classifier(batch=1))
    session = Session(path, "cpu", 1)
    batching = Batching(session.run, BatchLimits(most=4, wait_s=5.0), free=session.signature.free)
    inputs = [{"picture": np.full((1, 3, 8, 8), n, np.float32)} for n in range(3)]
    found = asked_together(batching, inputs)
    batching.stop()
    assert [float(outputs["logits"][0, 0]) for outputs in found] == pytest.approx([0, 10, 20])
    assert batching.tally.batches == 3


def test_one_bad_picture_in_a_batch_fails_alone() -> None:
    def run(inputs: Any) -> Any:
        if (inputs["x"] < 0).any():
            raise ValueError("negative")
        return {"y": inputs["x"] * 2}

    batching = Batching(run, BatchLimits(most=3, wait_s=5.0), free=True)
    found = asked_together(batching, [{"x": np.array([value])} for value in (1, -1, 3)])
    batching.stop()
    assert isinstance(found[1], ValueError)
    assert (found[0]["y"][0], found[2]["y"][0]) == (2, 6)


def test_outputs_without_a_batch_axis_are_not_mixed_up() -> None:
    batching = Batching(
        lambda inputs: {"y": inputs["x"].sum(keepdims=True)},
        BatchLimits(most=3, wait_s=5.0),
        free=True,
    )
    found = asked_together(batching, [{"x": np.array([value])} for value in (1, 2, 3)])
    batching.stop()
    assert [int(outputs["y"][0]) for outputs in found] == [1, 2, 3]


def test_pictures_of_different_shapes_are_not_run_together() -> None:
    batching = Batching(
        lambda inputs: {"y": inputs["x"]}, BatchLimits(most=2, wait_s=5.0), free=True
    )
    inputs = [{"x": np.zeros((1, length))} for length in (2, 3, 2, 3)]
    found = asked_together(batching, inputs)
    batching.stop()
    assert [outputs["y"].shape for outputs in found] == [(1, 2), (1, 3), (1, 2), (1, 3)]
