"""Groups of steps, and aliases: what is drawn, and what is refused."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from augmentation_service.engine import ALIASES, REGISTRY, BadRecipe, apply, parse
from augmentation_service.engine.randomness import Randomness

IMAGE = np.random.default_rng(5).integers(0, 256, (20, 40, 3), dtype=np.uint8)


def step(amount: int, **more: Any) -> dict[str, Any]:
    return {"operation": "brightness", "parameters": {"amount": amount}, **more}


def drawn(source: list[Any], variant: int) -> list[float]:
    """The amounts of the steps that were taken, in order."""
    steps = parse(source).drawn(Randomness(1, "s", variant))
    return [float(one.values["amount"]) for one in steps if one.applied]


def test_a_sequence_is_all_or_nothing() -> None:
    source = [{"sequence": [step(1), step(2)], "probability": 0.5}]
    counts = Counter(tuple(drawn(source, variant)) for variant in range(400))
    assert set(counts) == {(), (1.0, 2.0)}
    assert min(counts.values()) > 150


def test_one_of_is_drawn_by_weight() -> None:
    source = [{"one_of": [step(1), step(2), step(3)], "weights": [3, 1, 0]}]
    counts = Counter(drawn(source, variant)[0] for variant in range(400))
    assert set(counts) == {1.0, 2.0}
    assert 260 < counts[1.0] < 340


def test_some_of_keeps_the_order_and_the_count() -> None:
    source = [{"some_of": [step(n) for n in range(1, 6)], "count": [2, 3]}]
    seen = [drawn(source, variant) for variant in range(300)]
    assert {len(one) for one in seen} == {2, 3}
    assert all(one == sorted(set(one)) for one in seen)
    counts = Counter(amount for one in seen for amount in one)
    assert max(counts.values()) < 1.4 * min(counts.values())


def test_random_order_takes_all_in_every_order() -> None:
    source = [{"random_order": [step(1), step(2), step(3)]}]
    counts = Counter(tuple(drawn(source, variant)) for variant in range(600))
    assert len(counts) == 6
    assert min(counts.values()) > 60


def test_groups_within_groups_name_their_steps() -> None:
    source = [step(9), {"one_of": [{"sequence": [step(1), {"some_of": [step(2)]}]}]}]
    receipt = apply(parse(source), IMAGE).receipt
    assert [taken.step for taken in receipt.steps] == ["0", "1.0.0", "1.0.1.0"]


def test_a_part_more_changes_nothing_before_it() -> None:
    one = {"one_of": [step(n) for n in range(10)]}
    for variant in range(20):
        assert drawn([one], variant) == drawn([one, step(50)], variant)[:1]


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ([{"one_of": []}], "recipe[0].one_of"),
        ([{"one_of": "flip"}], "recipe[0].one_of"),
        ([{"one_of": [step(1)], "weights": [1, 2]}], "recipe[0].weights"),
        ([{"one_of": [step(1)], "weights": [0]}], "recipe[0].weights"),
        ([{"one_of": [step(1)], "weights": [-1]}], "recipe[0].weights[0]"),
        ([{"one_of": [step(1)], "count": 1}], "recipe[0]"),
        ([{"some_of": [step(1)], "count": 2}], "recipe[0].count"),
        ([{"some_of": [step(1)], "count": {"choices": [0, 1]}}], "recipe[0].count"),
        ([{"sequence": [step(1), {"operation": "spin"}]}], "recipe[0].sequence[1].operation"),
        ([{"sequence": [step(500)]}], "recipe[0].sequence[0].parameters.amount"),
        ([{"sequence": [step(1)], "operation": "flip"}], "recipe[0]"),
        ([{"sequence": [step(1)], "probability": 2}], "recipe[0].probability"),
        ([{"policy": "best"}], "recipe[0].policy"),
    ],
)  # fmt: skip
def test_faults_in_groups_say_where(source: list[Any], path: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        parse(source)
    assert path in {fault.path for fault in caught.value.faults}


def test_depth_and_steps_are_bounded() -> None:
    nested: dict[str, Any] = step(1)
    for _ in range(20):
        nested = {"sequence": [nested]}
    with pytest.raises(BadRecipe, match="deeper"):
        parse([nested])
    with pytest.raises(BadRecipe) as caught:
        parse([{"one_of": [step(1)] * 20}, {"sequence": [step(1)] * 20}])
    assert (caught.value.faults[0].code, caught.value.faults[0].actual) == ("too_many_steps", 40)


def done(name: str, image: np.ndarray = IMAGE, **parameters: Any) -> np.ndarray:
    return apply(parse([{"operation": name, "parameters": parameters}]), image).image


@pytest.mark.parametrize("name", sorted(ALIASES))
def test_aliases_become_what_their_operation_takes(name: str) -> None:
    alias = ALIASES[name]
    assert alias.operation in REGISTRY
    known = {parameter.name for parameter in REGISTRY[alias.operation].parameters}
    for variant in range(20):
        extreme: dict[str, Any] = {}
        for parameter in alias.parameters:
            if hasattr(parameter, "least"):
                extreme[parameter.name] = [parameter.least, parameter.most]
            elif hasattr(parameter, "choices"):
                extreme[parameter.name] = {"choices": [*parameter.choices]}
            else:
                extreme[parameter.name] = {"choices": [True, False]}
        made = apply(parse([{"operation": name, "parameters": extreme}]), IMAGE, variant=variant)
        (taken,) = made.receipt.steps
        assert taken.operation == alias.operation
        assert set(taken.parameters) == known


def test_brighten_and_darken_are_percentages_of_the_range() -> None:
    assert (done("brighten", amount=100) == 255).all()
    assert (done("darken", amount=100) == 0).all()
    assert np.array_equal(done("brighten", amount=0), IMAGE)


def test_a_blur_by_amount_is_a_hundredth_in_pixels() -> None:
    assert np.array_equal(done("gaussian_blur", amount=80), done("gaussian_blur", sigma=0.8))


def test_a_shift_wraps_or_leaves_black() -> None:
    assert np.array_equal(
        done("shift", direction="right", distance=25, wraps=True), np.roll(IMAGE, 10, axis=1)
    )
    up = done("shift", direction="up", distance=50, wraps=False)
    assert np.array_equal(up[:10], IMAGE[10:])
    assert not up[10:].any()


@pytest.mark.parametrize("shape", [(20, 40), (40, 20), (30, 30), (1, 9), (1, 1)])
def test_zoom_keeps_size_and_shape(shape: tuple[int, int]) -> None:
    """The first service failed on what was no square."""
    image = np.random.default_rng(2).integers(0, 256, (*shape, 3), dtype=np.uint8)
    zoomed = done("zoom", image, amount=50)
    assert zoomed.shape == image.shape
    if min(shape) > 8:
        middle = image[shape[0] // 2 - 3 : shape[0] // 2 + 3, shape[1] // 2 - 3 : shape[1] // 2 + 3]
        large = zoomed[shape[0] // 2 - 6 : shape[0] // 2 + 6, shape[1] // 2 - 6 : shape[1] // 2 + 6]
        assert abs(float(large.mean()) - float(middle.mean())) < 12
