from __future__ import annotations

import numpy as np
import pytest
from augmentation_service.engine import BadImage, TooLarge, apply, parse

GREY = np.zeros((10, 20, 1), np.uint8)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4, 3), np.float64),
        np.full((4, 4, 3), 1.5, np.float32),
        np.full((4, 4, 3), np.nan, np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=lambda image: f"{image.dtype}{image.shape}{image.max(initial=0)}",
)
def test_what_is_no_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(BadImage):
        apply(parse([]), image)


def test_pictures_that_are_views_are_taken() -> None:
    image = np.arange(600, dtype=np.uint8).reshape(10, 20, 3)
    steps = [
        {"operation": "flip", "parameters": {"axis": "x"}},
        {"operation": "rotate", "parameters": {"angle": 17}},
        {"operation": "brightness", "parameters": {"amount": 10}},
        {"operation": "gaussian_noise", "parameters": {"std": 10}},
        {"operation": "gaussian_blur", "parameters": {"sigma": 1}},
    ]
    for step in steps:
        view, copy = image[::-1, ::2], image[::-1, ::2].copy()
        assert np.array_equal(apply(parse([step]), view).image, apply(parse([step]), copy).image)


def test_a_canvas_that_grows_with_every_step_is_stopped() -> None:
    growing = [{"operation": "rotate", "parameters": {"angle": 45, "canvas": "expand"}}] * 30
    with pytest.raises(TooLarge) as caught:
        apply(parse(growing), GREY, max_pixels=100_000)
    assert caught.value.allowed == 100_000
    assert caught.value.actual > 100_000
    assert caught.value.path.startswith("recipe[")
    assert str(caught.value)


def test_an_empty_recipe_returns_the_picture() -> None:
    made = apply(parse([]), GREY)
    assert np.array_equal(made.image, GREY)
    assert made.receipt.steps == []


def test_the_receipt_says_what_was_left_out() -> None:
    steps = [{"operation": "flip", "parameters": {"axis": "x"}, "probability": 0}]
    (taken,) = apply(parse(steps), GREY).receipt.steps
    assert (taken.step, taken.operation, taken.applied, taken.parameters) == (
        "0",
        "flip",
        False,
        {},
    )
