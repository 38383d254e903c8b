"""Brightness, noise and blur: that they do what they say, by measurement."""

from __future__ import annotations

import itertools
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from augmentation_service.engine import apply, parse
from augmentation_service.engine.operations import noise
from augmentation_service.engine.operations.noise import _deviates


def done(operation: str, image: np.ndarray, *, seed: int = 1, **parameters: Any) -> np.ndarray:
    recipe = parse([{"operation": operation, "parameters": parameters}])
    return apply(recipe, image, seed=seed, source="s").image


def all_levels(channels: int) -> np.ndarray:
    return np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), channels, axis=2)


@pytest.mark.parametrize(
    ("amount", "shift"), [(100, 255), (-100, -255), (10, 26), (-10, -26), (0.1, 0), (50, 128)]
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_brightness_adds_a_share_of_the_range(amount: float, shift: int, channels: int) -> None:
    image = all_levels(channels)
    result = done("brightness", image, amount=amount)
    colours = min(channels, 3)
    expected = np.clip(image.astype(int) + shift, 0, 255)
    assert np.array_equal(result[..., :colours], expected[..., :colours])


@pytest.mark.parametrize("std", [0.5, 1, 5, 12.75, 40])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_noise_has_the_deviation_asked_for(std: float, channels: int) -> None:
    image = np.full((256, 256, channels), 128, np.uint8)
    added = done("gaussian_noise", image, std=std)[..., :3].astype(float) - 128
    if std <= 30:  # beyond, values are cut off at 0 and 255
        # Rounding to whole levels adds the variance of a uniform distribution: 1/12.
        assert added.std() == pytest.approx(np.sqrt(std**2 + 1 / 12), rel=0.02)
    assert abs(added.mean()) < 4 * std / np.sqrt(added.size)
    assert abs((added[:-1] * added[1:]).mean()) < 0.02 * std**2, "rows know nothing of each other"
    for one, other in itertools.combinations(range(added.shape[2]), 2):
        assert abs((added[..., one] * added[..., other]).mean()) < 0.03 * std**2


def test_noise_is_normal() -> None:
    image = np.full((512, 512, 1), 128, np.uint8)
    added = done("gaussian_noise", image, std=20).astype(float) - 128
    for level in (5, 20, 40, 60):
        expected = 2 * NormalDist(0, 20).cdf(level + 0.5) - 1
        assert np.mean(np.abs(added) <= level) == pytest.approx(expected, abs=0.003)


def test_grey_noise_is_the_same_in_all_channels() -> None:
    image = np.full((64, 64, 3), 128, np.uint8)
    result = done("gaussian_noise", image, std=20, per_channel=False)
    assert (result == result[..., :1]).all()
    assert result.std() > 15


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_noise_does_not_depend_on_the_blocks_it_is_made_in(
    channels: int, per_channel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.full((31, 37, channels), 100, np.uint8)
    whole = done("gaussian_noise", image, std=30, per_channel=per_channel)
    monkeypatch.setattr(noise, "_BLOCK", 100)
    assert np.array_equal(done("gaussian_noise", image, std=30, per_channel=per_channel), whole)


def test_noise_is_another_with_another_seed() -> None:
    image = np.full((64, 64, 3), 100, np.uint8)
    first = done("gaussian_noise", image, std=30, seed=1)
    second = done("gaussian_noise", image, std=30, seed=2)
    assert np.mean(first == second) < 0.05


def test_the_table_of_deviates_is_symmetric() -> None:
    table = _deviates(255.0)
    assert np.array_equal(table, -table[::-1])
    assert 4.1 < table.max() / 255 < 4.4


def convolved(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur in float64 with a kernel five deviations long, mirrored without the edge pixel."""
    radius = int(np.ceil(5 * sigma))
    kernel = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    result = image.astype(float)
    for axis in (0, 1):
        width = [(radius, radius) if other == axis else (0, 0) for other in range(3)]
        padded = np.pad(result, width, mode="reflect")
        result = np.apply_along_axis(np.convolve, axis, padded, kernel, "valid")
    return result


@pytest.mark.parametrize("sigma", [0.3, 0.7, 1, 2.5, 6, 12])
@pytest.mark.parametrize("channels", [1, 3])
def test_blur_is_a_gaussian(sigma: float, channels: int) -> None:
    random = np.random.default_rng(3)
    image = random.integers(0, 256, (80, 70, channels), dtype=np.uint8)
    difference = np.abs(done("gaussian_blur", image, sigma=sigma) - convolved(image, sigma))
    assert difference.max() <= 2
    assert difference.mean() < 0.6


def test_blur_sees_no_hidden_colours() -> None:
    image = np.zeros((60, 60, 4), np.uint8)
    image[..., 0] = 255  # red where nobody sees it
    image[20:40, 20:40] = (0, 0, 255, 255)
    result = done("gaussian_blur", image, sigma=3)
    seen = result[result[..., 3] > 0]
    assert seen[:, 0].max() == 0
    assert seen[:, 2].min() >= 253


def test_blur_of_an_opaque_picture_is_that_of_its_colours() -> None:
    random = np.random.default_rng(4)
    colours = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    opaque = np.dstack([colours, np.full((30, 40, 1), 255, np.uint8)])
    assert np.array_equal(
        done("gaussian_blur", opaque, sigma=2)[..., :3], done("gaussian_blur", colours, sigma=2)
    )
