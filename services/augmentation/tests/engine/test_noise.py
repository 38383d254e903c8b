"""Noise that depends on the light: that it is distributed as it says, by measurement."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from augmentation_service.engine import apply, parse
from augmentation_service.engine.operations import grain
from augmentation_service.engine.operations.grain import _poisson
from augmentation_service.engine.tables import LINEAR


def done(operation: str, image: np.ndarray, **parameters: Any) -> np.ndarray:
    recipe = parse([{"operation": operation, "parameters": parameters}])
    return apply(recipe, image, seed=1, source="s").image


def flat(level: int, channels: int = 3, side: int = 256) -> np.ndarray:
    return np.full((side, side, channels), level, np.uint8)


@pytest.mark.parametrize("mean", [0.0, 0.05, 0.7, 3.0, 11.9, 12.1, 40.0, 900.0])
def test_outcomes_are_those_of_photons(mean: float) -> None:
    (outcomes,) = _poisson(np.array([mean])).astype(float)
    assert outcomes.mean() == pytest.approx(mean, abs=0.02 + mean * 0.002)
    assert outcomes.std() == pytest.approx(math.sqrt(mean), rel=0.02, abs=0.02)
    for count in range(int(mean + 2)):
        expected = sum(math.exp(-mean + k * math.log(mean or 1) - math.lgamma(k + 1)) * (
            1 if mean or not k else 0) for k in range(count + 1))  # fmt: skip
        assert np.mean(outcomes <= count) == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize("photons", [30, 200, 5000])
def test_shot_noise_keeps_the_light_and_grows_with_its_root(photons: float) -> None:
    table = np.concatenate([LINEAR, [1.0]])
    for level in (60, 128, 200):
        made = done("shot_noise", flat(level), photons=photons)
        light = table[made] * photons
        expected = LINEAR[level] * photons
        # What is brighter than white is cut off; levels are steps.
        assert light.mean() == pytest.approx(expected, rel=0.03)
        assert light.std() == pytest.approx(math.sqrt(expected), rel=0.06)
    assert not done("shot_noise", flat(0), photons=photons).any()


@pytest.mark.parametrize("std", [2, 10, 30])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_speckle_is_a_share_of_the_value(std: float, channels: int) -> None:
    for level in (40, 120):
        added = done("speckle_noise", flat(level, channels), std=std)[..., :3].astype(float) - level
        expected = level * std / 100
        assert added.std() == pytest.approx(math.sqrt(expected**2 + 1 / 12), rel=0.03)
        assert abs(added.mean()) < 0.02 * expected + 0.02
    assert not done("speckle_noise", flat(0), std=std)[..., :3].any()


def test_iso_noise_has_the_deviations_asked_for() -> None:
    grey = done("iso_noise", flat(128), luma=15, chroma=0).astype(float) - 128
    assert grey.std() == pytest.approx(15, rel=0.03)
    assert np.array_equal(grey[..., 0], grey[..., 2]), "the same in all channels"
    coloured = done("iso_noise", flat(128), luma=0, chroma=12).astype(float) - 128
    assert coloured.std() == pytest.approx(12, rel=0.05)
    red, blue = coloured[..., 0].ravel(), coloured[..., 2].ravel()
    assert abs(np.corrcoef(red, blue)[0, 1]) < 0.03
    assert np.corrcoef(coloured[:, :-1].ravel(), coloured[:, 1:].ravel())[0, 1] > 0.4, "coarse"


@pytest.mark.parametrize("size", [1, 2, 4])
def test_grain_is_seen_in_middle_tones_and_has_a_size(size: float) -> None:
    middle = done("film_grain", flat(128), strength=20, size=size).astype(float) - 128
    assert middle.std() == pytest.approx(20, rel=0.06)
    assert np.array_equal(middle[..., 0], middle[..., 2])
    dark = done("film_grain", flat(10), strength=20, size=size).astype(float) - 10
    assert dark.std() < 10
    assert not done("film_grain", flat(0), strength=20, size=size).any()
    neighbours = np.corrcoef(middle[:, :-1].ravel(), middle[:, 1:].ravel())[0, 1]
    assert (neighbours > 0.3) == (size > 1)


def test_noise_does_not_depend_on_the_blocks_it_is_made_in(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(1).integers(0, 256, (31, 37, 3), dtype=np.uint8)
    kinds: tuple[tuple[str, dict[str, Any]], ...] = (
        ("speckle_noise", {"std": 20}),
        ("shot_noise", {"photons": 50}),
    )
    whole = [done(name, image, **parameters) for name, parameters in kinds]
    monkeypatch.setattr(grain, "_BLOCK", 100)
    for (name, parameters), expected in zip(kinds, whole, strict=True):
        assert np.array_equal(done(name, image, **parameters), expected)
