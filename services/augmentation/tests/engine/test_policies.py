"""Published policies: what they draw is what their papers say."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from augmentation_service.engine import (
    POLICIES,
    REGISTRY,
    Box,
    Labels,
    apply,
    parse,
    replay,
    sealed,
)
from augmentation_service.engine.policies.auto_augment import IMAGENET
from augmentation_service.engine.policies.space import NARROW, WIDE
from augmentation_service.engine.randomness import Randomness, Stream
from augmentation_service.engine.recipes import Drawn

IMAGE = np.random.default_rng(5).integers(0, 256, (40, 60, 3), dtype=np.uint8)
LABELS = Labels(boxes=[Box(x_min=20, y_min=10, x_max=35, y_max=25)])


def drawn(name: str, variant: int, **parameters: Any) -> list[Drawn]:
    recipe = parse([{"policy": name, "parameters": parameters}])
    return list(recipe.drawn(Randomness(1, "s", variant)))


@pytest.mark.parametrize("name", sorted(POLICIES))
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_policies_make_pictures_and_receipts_that_replay(name: str, channels: int) -> None:
    image = np.repeat(IMAGE[..., :1], channels, axis=2)
    recipe = parse([{"policy": name}])
    for variant in range(25):
        made = apply(recipe, image, variant=variant, labels=LABELS)
        assert made.image.shape == image.shape
        receipt = sealed(made.receipt, made.image)
        assert replay(receipt, image, labels=LABELS).exact
        assert all(taken.step.startswith("0.") for taken in receipt.steps)


@pytest.mark.parametrize("space", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_every_operation_of_a_space_takes_what_it_is_given(space: Any, strength: float) -> None:
    for name in (*space.names, "invert"):
        for seed in range(4):
            taken = space.drawn(name, strength, Stream(bytes([seed])))
            if taken is not None:
                operation, values = taken
                known = {parameter.name: parameter for parameter in REGISTRY[operation].parameters}
                for parameter, value in values.items():
                    known[parameter].check(value)


def test_nothing_of_no_strength_changes_anything_but_what_has_none() -> None:
    for name in NARROW.names:
        taken = NARROW.drawn(name, 0.0, Stream(b"x"))
        if taken is not None and name not in ("autocontrast", "equalize", "solarize"):
            step = {"operation": taken[0], "parameters": taken[1]}
            assert np.array_equal(apply(parse([step]), IMAGE).image, IMAGE), name


def test_rand_augment_draws_so_many_of_one_strength() -> None:
    counts = Counter(len(drawn("rand_augment", variant, count=3)) for variant in range(200))
    assert max(counts) == 3, "identity takes a place"
    angles = {
        abs(float(step.values["angle"]))
        for variant in range(200)
        for step in drawn("rand_augment", variant, magnitude=15)
        if step.operation == "rotate"
    }
    assert angles == {15.0}


def test_trivial_augment_draws_all_and_of_any_strength() -> None:
    steps = [step for variant in range(600) for step in drawn("trivial_augment", variant)]
    assert {step.operation for step in steps} == {
        "shear", "shift", "rotate", "enhance", "posterize", "solarize", "autocontrast", "equalize"
    }  # fmt: skip
    angles = [abs(float(s.values["angle"])) for s in steps if s.operation == "rotate"]
    assert max(angles) > 110
    assert len(set(angles)) > 15
    assert {s.values["bits"] for s in steps if s.operation == "posterize"} <= set(range(2, 9))


def test_the_imagenet_policy_is_the_published_one() -> None:
    assert len(IMAGENET) == 25
    names = Counter(name for pair in IMAGENET for name, _, _ in pair)
    assert names == {
        "equalize": 17, "solarize": 7, "posterize": 5, "rotate": 6, "color": 6, "invert": 3,
        "autocontrast": 2, "contrast": 2, "sharpness": 1, "shear_x": 1,
    }  # fmt: skip
    taken = Counter(
        tuple(step.operation for step in drawn("auto_augment_imagenet", variant))
        for variant in range(1500)
    )
    # Only (invert, equalize) and (shear, equalize) end with what always comes, after so much.
    assert taken["invert", "equalize"] == pytest.approx(1500 * 2 / 25 * 0.6, rel=0.4)
    assert taken["shear", "equalize"] == pytest.approx(1500 / 25 * 0.6, rel=0.5)


def test_augmix_blends_and_stays_near() -> None:
    def mixed(variant: int, **parameters: Any) -> np.ndarray:
        recipe = parse([{"operation": "augmix", "parameters": parameters}])
        return apply(recipe, IMAGE, variant=variant).image.astype(int)

    distances = [float(np.abs(mixed(variant) - IMAGE).mean()) for variant in range(20)]
    assert 0 < np.median(distances) < 60
    assert len(set(distances)) > 15
