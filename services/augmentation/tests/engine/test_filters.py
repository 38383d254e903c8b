"""Ranks, means over discs, lines and zooms: against the plain way to compute them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from augmentation_service.engine import apply, parse
from augmentation_service.engine.operations.lenses import _rectangles
from augmentation_service.engine.ranks import ranked

RANDOM = np.random.default_rng(1).integers(0, 256, (40, 31, 3), dtype=np.uint8)


def done(operation: str, image: np.ndarray, **parameters: Any) -> np.ndarray:
    recipe = parse([{"operation": operation, "parameters": parameters}])
    return apply(recipe, image, seed=1, source="s").image


def windows(image: np.ndarray, size: int, mode: str) -> np.ndarray:
    """Return the values of the window around each value: (H, W, C, size * size), sorted."""
    before, after = size // 2, size - 1 - size // 2
    padded = np.pad(image, ((before, after), (before, after), (0, 0)), mode=mode)  # type: ignore[call-overload]
    views = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (0, 1))
    return np.sort(views.reshape(*image.shape, -1), axis=-1)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13])
def test_every_rank_is_that_of_a_sorted_window(size: int) -> None:
    expected = windows(RANDOM, size, "edge")
    last = size * size - 1
    for rank in sorted({0, last // 5, last // 2, (2 * last) // 3, last}):
        assert np.array_equal(ranked(RANDOM, size, rank), expected[..., rank]), rank


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 1), (9, 1, 1), (300, 70, 1)])
def test_ranks_of_pictures_of_any_shape(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(ranked(image, 7, 24), windows(image, 7, "edge")[..., 24])


@pytest.mark.parametrize("size", [3, 5, 7, 9, 11, 4])
def test_a_median_is_the_middle_one(size: int) -> None:
    expected = windows(RANDOM, size, "edge")[..., (size * size - 1) // 2]
    assert np.array_equal(done("median_blur", RANDOM, size=size), expected)


@pytest.mark.parametrize("size", [2, 3, 5, 8])
def test_extremes_and_percentiles(size: int) -> None:
    expected = windows(RANDOM, size, "edge")
    assert np.array_equal(done("min_filter", RANDOM, size=size), expected[..., 0])
    assert np.array_equal(done("max_filter", RANDOM, size=size), expected[..., -1])
    for percentile, place in ((0, 0), (100, -1), (25, int(0.25 * (size * size - 1) + 0.5))):
        made = done("percentile_filter", RANDOM, percentile=percentile, size=size)
        assert np.array_equal(made, expected[..., place])


@pytest.mark.parametrize("radius", [1, 1.5, 2, 3, 5.5, 9])
def test_a_disc_is_made_of_rectangles(radius: float) -> None:
    reach = int(radius) + 1
    disc = np.zeros((2 * reach + 1, 2 * reach + 1), int)
    for across, down, sign in _rectangles(radius):
        disc[reach - down : reach + down + 1, reach - across : reach + across + 1] += sign
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    assert np.array_equal(disc, (x * x + y * y <= radius * radius).astype(int))


def test_a_point_out_of_focus_is_a_disc() -> None:
    image = np.zeros((41, 41, 1), np.uint8)
    image[20, 20] = 255
    seen = np.argwhere(done("defocus", image, radius=4)[..., 0])
    assert np.hypot(*(seen - 20).T).max() <= 4
    assert len(seen) == 49


@pytest.mark.parametrize(("angle", "axis"), [(0, 0), (90, 1), (180, 0)])
def test_a_moved_point_is_a_line(angle: float, axis: int) -> None:
    image = np.zeros((31, 31, 1), np.uint8)
    image[15, 15] = 255
    seen = np.argwhere(done("motion_blur", image, length=9, angle=angle)[..., 0])
    assert np.ptp(seen[:, axis]) == 0
    assert np.ptp(seen[:, 1 - axis]) == 8


def test_angles_turn_anticlockwise() -> None:
    image = np.zeros((31, 31, 1), np.uint8)
    image[15, 15] = 255
    made = done("motion_blur", image, length=9, angle=45)[..., 0]
    assert made[12, 18]
    assert not made[18, 18]


@pytest.mark.parametrize("name", ["uniform_blur", "motion_blur", "defocus", "zoom_blur"])
def test_blurs_see_no_hidden_colours(name: str) -> None:
    parameters = {"uniform_blur": {"size": 7}, "motion_blur": {"length": 9},
                  "defocus": {"radius": 4}, "zoom_blur": {"factor": 1.3}}  # fmt: skip
    image = np.zeros((60, 60, 4), np.uint8)
    image[..., 0] = 255  # red where nobody sees it
    image[20:40, 20:40] = (0, 0, 255, 255)
    result = done(name, image, **parameters[name])
    seen = result[result[..., 3] > 0]
    assert seen[:, 0].max() <= 1
    assert seen[:, 2].min() >= 252


def test_glass_shows_only_what_is_near() -> None:
    x = np.tile(np.arange(0, 240, 4, dtype=np.uint8), (60, 1))[..., None]
    made = done("glass_blur", x, distance=3, sigma=0)
    difference = np.abs(made.astype(int) - x) // 4
    assert difference.max() == 3
    counts = np.bincount(difference[:, 5:-5].ravel())
    assert counts[1:] / counts.sum() == pytest.approx(2 / 7, abs=0.04)


def test_sharpening_changes_nothing_where_nothing_changes() -> None:
    flat = np.full((20, 20, 3), 90, np.uint8)
    for name in ("sharpen", "unsharp_mask", "emboss", "ringing"):
        assert np.array_equal(done(name, flat), flat), name
    assert not done("edge_filter", flat, image_type="edge_map").any()
    assert np.array_equal(done("edge_filter", flat, image_type="edge_enhanced"), flat)
    assert (done("contour", flat) == 255).all()


@pytest.mark.parametrize("name", ["sharpen", "unsharp_mask"])
def test_sharpening_makes_edges_steeper(name: str) -> None:
    edge = np.zeros((20, 20, 1), np.uint8) + np.uint8(80)
    edge[:, 10:] = 160
    made = done(name, edge).astype(int)[10, :, 0]
    assert made[9] < 80
    assert made[10] > 160


def test_ringing_swings_about_an_edge() -> None:
    edge = np.full((40, 40, 1), 80, np.uint8)
    edge[:, 20:] = 160
    made = done("ringing", edge, cutoff=30, size=21).astype(int)[20, :, 0]
    assert made[12:20].min() < 78
    assert made[20:28].max() > 162


@pytest.mark.parametrize(("length", "angle"), [(7, 20), (15, 30), (40, -77), (101, 45)])
def test_lines_of_any_length_average_alike(length: float, angle: float) -> None:
    made = done("motion_blur", RANDOM, length=length, angle=angle)
    floats = done(
        "motion_blur", RANDOM.astype(np.float32) / np.float32(255), length=length, angle=angle
    )
    assert np.abs(made - floats * 255).max() < 1
