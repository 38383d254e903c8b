"""Tones, channels and balance: that they do what they say, by measurement."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from augmentation_service.engine import Source, apply, parse
from augmentation_service.engine.tables import LEVELS, looked_up, toned

RANDOM = np.random.default_rng(1).integers(0, 256, (40, 31, 3), dtype=np.uint8)
LUMA = np.array([0.213, 0.715, 0.072])


def done(operation: str, image: np.ndarray, seed: int = 1, **parameters: Any) -> np.ndarray:
    recipe = parse([{"operation": operation, "parameters": parameters}])
    return apply(recipe, image, seed=seed, source="s").image


@pytest.mark.parametrize("shape", [(4, 1), (1, 4), (1, 1), (2, 2), (5, 7)])
@pytest.mark.parametrize("channels", [1, 3])
def test_tables_are_looked_up_channel_by_channel(shape: tuple[int, int], channels: int) -> None:
    image = np.random.default_rng(3).integers(0, 256, (*shape, channels), dtype=np.uint8)
    tables = np.random.default_rng(4).integers(0, 256, (channels, 256), dtype=np.uint8)
    expected = np.stack([tables[c][image[..., c]] for c in range(channels)], axis=2)
    assert np.array_equal(looked_up(image, tables), expected)
    assert np.array_equal(looked_up(image, tables[0]), tables[0][image])


def test_floats_between_levels_come_to_lie_between() -> None:
    image = np.array([[[0.1], [0.3015], [1.0]]], np.float32)
    assert toned(image, LEVELS * 0.5) == pytest.approx(image * 0.5, abs=1e-6)


def test_contrast_is_about_mid_grey() -> None:
    image = np.array([[[0], [100], [127], [128], [155], [255]]], np.uint8)
    stretched = done("brightness_contrast", image, contrast=100)[0, :, 0]
    assert stretched.tolist() == [0, 73, 127, 129, 183, 255]
    flat = done("brightness_contrast", image, contrast=-100)
    assert (flat == 128).all()
    brighter = done("brightness_contrast", image, brightness=20)[0, :, 0]
    assert brighter.tolist() == [51, 151, 178, 179, 206, 255]


@pytest.mark.parametrize("gamma", [0.3, 0.9, 1.7, 5])
def test_gamma_keeps_black_and_white(gamma: float) -> None:
    made = done("gamma", LEVELS.astype(np.uint8).reshape(16, 16, 1), gamma=gamma).ravel()
    assert (made[0], made[255]) == (0, 255)
    assert np.array_equal(made, np.floor(255 * (LEVELS / 255) ** gamma + 0.5).astype(np.uint8))


def test_curves_bend_where_they_say() -> None:
    ramp = LEVELS.astype(np.uint8).reshape(16, 16, 1)
    made = done("tone_curve", ramp, shadows=-20, highlights=20).ravel().astype(int)
    assert made[64] < 64 - 10
    assert made[192] > 192 + 10
    assert (np.diff(made) >= 0).all()


@pytest.mark.parametrize("angle", [-120, 40, 180])
def test_hues_turn_and_luma_stays(angle: float) -> None:
    image = np.random.default_rng(1).integers(90, 165, (20, 20, 3), dtype=np.uint8)
    made = done("hue", image, angle=angle)
    assert (made @ LUMA) == pytest.approx(image @ LUMA, abs=1.5)
    grey = np.repeat(LEVELS.astype(np.uint8).reshape(16, 16, 1), 3, axis=2)
    assert np.abs(done("hue", grey, angle=angle).astype(int) - grey).max() <= 1


def test_saturation_is_taken_away_and_added() -> None:
    grey = done("saturation", RANDOM, factor=0)
    assert np.ptp(grey, axis=2).max() <= 1
    stronger = done("saturation", np.full((2, 2, 3), (120, 100, 90), np.uint8), factor=2)
    assert np.ptp(stronger[0, 0].astype(int)) == pytest.approx(60, abs=2)


def test_jitter_stays_within_its_strengths() -> None:
    image = np.full((8, 8, 3), 100, np.uint8)
    made = {int(done("colour_jitter", image, seed=seed, brightness=0.3)[0, 0, 0])
            for seed in range(60)}  # fmt: skip
    assert min(made) >= 70
    assert max(made) <= 130
    assert max(made) - min(made) > 40


def test_channels_are_swapped_shuffled_and_muted() -> None:
    assert np.array_equal(done("channel_swap", RANDOM, a="red", b="blue"), RANDOM[..., ::-1])
    shuffled = [done("channel_shuffle", RANDOM, seed=seed) for seed in range(40)]
    orders = {tuple(int(one[0, 0, c]) for c in range(3)) for one in shuffled}
    assert len(orders) == 6
    muted = done("mute_channel", RANDOM, channel="green")
    assert not muted[..., 1].any()
    assert np.array_equal(muted[..., ::2], RANDOM[..., ::2])
    dropped = done("channel_dropout", RANDOM, count=2, fill=7)
    assert sorted((dropped == 7).all(axis=(0, 1)).tolist()) == [False, True, True]


@pytest.mark.parametrize("shape", [(4, 1), (1, 4), (2, 2), (9, 3)])
def test_each_channel_is_shifted_by_its_own(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 100, np.uint8)
    made = done("rgb_shift", image, red=20.4, green=-30.5, blue=200)
    assert (made == (120, 69, 255)).all()


def test_light_gets_warmer_and_colder_and_no_darker() -> None:
    grey = np.full((2, 2, 3), 100, np.uint8)
    candle = done("temperature", grey, kelvin=2500)[0, 0].astype(int)
    shade = done("temperature", grey, kelvin=12000)[0, 0].astype(int)
    assert candle[0] > candle[1] > candle[2]
    assert shade[0] < shade[1] < shade[2]
    for light in (candle, shade):
        linear = ((light / 255 + 0.055) / 1.055) ** 2.4
        luminance = linear @ (0.2126, 0.7152, 0.0722)
        assert luminance == pytest.approx(((100 / 255 + 0.055) / 1.055) ** 2.4, rel=0.03)


def test_the_mean_of_a_grey_world_is_grey() -> None:
    tinted = (RANDOM * np.array([0.8, 0.5, 0.3])).astype(np.uint8)
    means = done("white_balance", tinted).mean(axis=(0, 1))
    assert np.ptp(means) < 2
    half = done("white_balance", tinted, strength=50).mean(axis=(0, 1))
    assert 2 < np.ptp(half) < np.ptp(tinted.mean(axis=(0, 1)))


def test_the_brightest_patch_becomes_white() -> None:
    tinted = (RANDOM * np.array([1.0, 0.7, 0.5])).astype(np.uint8)
    made = done("white_balance", tinted, method="white_patch")
    assert np.ptp(np.percentile(made, 99, axis=(0, 1))) <= 4


def test_a_matched_histogram_is_the_other_ones() -> None:
    other = (np.random.default_rng(5).normal(150, 20, (50, 50, 3)).clip(0, 255)).astype(np.uint8)
    recipe = parse([{"operation": "histogram_matching"}])
    others = [Source(image=other, source="other")]
    made = apply(recipe, RANDOM, source="s", others=others).image
    assert made.mean(axis=(0, 1)) == pytest.approx(other.mean(axis=(0, 1)), abs=2)
    assert made.std(axis=(0, 1)) == pytest.approx(other.std(axis=(0, 1)), rel=0.1)
    itself = apply(recipe, RANDOM, source="s", others=[Source(image=RANDOM, source="self")])
    assert np.array_equal(itself.image, RANDOM)


def test_clahe_keeps_the_differences_between_channels() -> None:
    image = np.full((64, 64, 3), (90, 100, 110), np.uint8)
    image[:, 32:] += 8
    made = done("clahe", image, clip_limit=10).astype(int)
    assert np.array_equal(made[..., 1] - made[..., 0], np.full((64, 64), 10))
    assert np.ptp(made[..., 1]) > 8


@pytest.mark.parametrize("colours", [1, 2, 7, 64, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_few_colours_are_left_and_those_that_were_near(colours: int, channels: int) -> None:
    image = np.ascontiguousarray(RANDOM[..., :channels])
    made = done("colour_quantise", image, colours=colours)
    assert len(np.unique(made.reshape(-1, channels), axis=0)) <= colours
    error = np.abs(made.astype(int) - image).mean()
    assert error < {1: 70, 2: 62, 7: 45, 64: 22, 256: 14}[colours]


def test_pca_lighting_moves_all_pixels_alike() -> None:
    image = np.full((6, 6, 3), 120, np.uint8)
    shifts = np.array([done("pca_lighting", image, seed=seed, strength=1.0)[0, 0].astype(int)
                       for seed in range(80)]) - 120  # fmt: skip
    assert np.abs(shifts.mean(axis=0)).max() < 15
    assert shifts.std(axis=0) == pytest.approx([32, 32, 33], rel=0.35)
    assert np.corrcoef(shifts.T).min() > 0.9, "mostly brightness"


def test_tints_and_sepia() -> None:
    white = np.full((2, 2, 3), 255, np.uint8)
    assert (done("tint", white, colour="#804020", amount=100) == (0x80, 0x40, 0x20)).all()
    assert (done("tint", white, colour="#000000", amount=50) == 128).all()
    brown = done("sepia", np.full((2, 2, 3), 100, np.uint8))[0, 0]
    assert brown.tolist() == pytest.approx([135, 120, 94], abs=1)
