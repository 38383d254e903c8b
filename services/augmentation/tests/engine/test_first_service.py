"""The twenty operations of the first augmentation service, and what was wrong with some of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from augmentation_service.engine import Box, Labels, apply, parse

#: Names and parameters as that service had them.
TWENTY: dict[str, list[dict[str, Any]]] = {
    "brighten": [{"amount": 0}, {"amount": 100}],
    "channel_swap": [{"a": "red", "b": "blue"}],
    "cutout": [{"amount": 0}, {"amount": 100}],
    "darken": [{"amount": 0}, {"amount": 100}],
    "edge_filter": [{"image_type": "edge_map"}, {"image_type": "edge_enhanced"}],
    "flip": [{"axis": "x"}, {"axis": "y"}],
    "gaussian_blur": [{"amount": 0}, {"amount": 100}],
    "invert": [{}],
    "max_filter": [{"size": 3}],
    "min_filter": [{"size": 3}],
    "mute_channel": [{"channel": "red"}],
    "pepper_noise": [{"amount": 0}, {"amount": 100}],
    "percentile_filter": [{"percentile": 50, "size": 3}],
    "rainbow_noise": [{"amount": 0}, {"amount": 100}],
    "rotate": [{"angle": 1}, {"angle": 359}],
    "salt_noise": [{"amount": 0}, {"amount": 100}],
    "shift": [{"direction": "left", "distance": 20, "wraps": True}],
    "tint": [{"channel": "green", "amount": 50}],
    "uniform_blur": [{"size": 3}],
    "zoom": [{"amount": 0}, {"amount": 50}],
}
LANDSCAPE, PORTRAIT, SQUARE = (40, 90), (90, 40), (50, 50)


def picture(shape: tuple[int, int], channels: int = 3) -> np.ndarray:
    random = np.random.default_rng(2)
    return random.integers(1, 255, (*shape, channels), dtype=np.uint8)


def done(operation: str, image: np.ndarray, seed: int = 3, **parameters: Any) -> np.ndarray:
    recipe = parse([{"operation": operation, "parameters": parameters}])
    return apply(recipe, image, seed=seed, source="s").image


def test_there_are_twenty() -> None:
    assert len(TWENTY) == 20


@pytest.mark.parametrize("shape", [LANDSCAPE, PORTRAIT, SQUARE, (1, 1), (1, 7)])
@pytest.mark.parametrize(
    ("name", "parameters"), [(name, one) for name, several in TWENTY.items() for one in several]
)
def test_they_keep_their_names_parameters_and_canvas(
    name: str, parameters: dict[str, Any], shape: tuple[int, int]
) -> None:
    for channels in (1, 3, 4):
        image = picture(shape, channels)
        assert done(name, image, **parameters).shape == image.shape


@pytest.mark.parametrize("shape", [LANDSCAPE, PORTRAIT])
@pytest.mark.parametrize(
    ("name", "hit"),
    [("salt_noise", (255, 255, 255)), ("pepper_noise", (0, 0, 0)), ("rainbow_noise", None)],
)
def test_noise_reaches_all_of_pictures_that_are_not_square(
    name: str, hit: tuple[int, ...] | None, shape: tuple[int, int]
) -> None:
    image = picture(shape)
    result = done(name, image, amount=30)
    changed = (result != image).any(axis=2)
    assert changed.mean() == pytest.approx(0.3, abs=0.05)
    for quarter in (changed[:, : shape[1] // 4], changed[:, -shape[1] // 4 :],
                    changed[: shape[0] // 4], changed[-shape[0] // 4 :]):  # fmt: skip
        assert quarter.mean() == pytest.approx(0.3, abs=0.1)
    if hit is not None:
        assert (result[changed] == hit).all()
        assert (done(name, image, amount=100) == hit).all()


@pytest.mark.parametrize("shape", [LANDSCAPE, PORTRAIT, SQUARE])
@pytest.mark.parametrize("amount", [5, 25, 80, 100])
def test_a_cutout_hides_its_share_wherever_it_lies(shape: tuple[int, int], amount: float) -> None:
    image = picture(shape)
    places = set()
    for seed in range(12):
        hidden = (done("cutout", image, seed=seed, amount=amount) == 0).all(axis=2)
        assert hidden.mean() == pytest.approx(amount / 100, abs=0.02)
        places.add(tuple(np.argwhere(hidden)[0]))
    assert len(places) > 3 or amount == 100


def test_a_cutout_of_everything_takes_the_boxes_with_it() -> None:
    recipe = parse([{"operation": "cutout", "parameters": {"amount": 100}}])
    labels = Labels(boxes=[Box(x_min=2, y_min=3, x_max=20, y_max=9)])
    variant = apply(recipe, picture(LANDSCAPE), labels=labels)
    assert not variant.image.any()
    assert variant.labels is not None
    assert all(box.visibility == 0 for box in variant.labels.boxes)


@pytest.mark.parametrize("shape", [LANDSCAPE, PORTRAIT])
def test_a_zoom_keeps_the_proportions_of_what_it_shows(shape: tuple[int, int]) -> None:
    height, width = shape
    image = np.zeros((*shape, 1), np.uint8)
    image[height // 2 - 5 : height // 2 + 5, width // 2 - 5 : width // 2 + 5] = 255
    shown = done("zoom", image, amount=50)[..., 0] > 127
    assert shown.shape == shape
    assert shown.any(axis=0).sum() == pytest.approx(20, abs=1)
    assert shown.any(axis=1).sum() == pytest.approx(20, abs=1)


def test_a_tint_adds_to_one_channel() -> None:
    image = picture(LANDSCAPE)
    result = done("tint", image, channel="green", amount=20)
    assert np.array_equal(result[..., 1], np.minimum(image[..., 1].astype(int) + 51, 255))
    assert np.array_equal(result[..., ::2], image[..., ::2])
    coloured = done("tint", image, colour="#00ff00")
    assert not coloured[..., ::2].any(), "the operation of that name is meant by its parameters"


def test_gaussian_blur_takes_a_hundredth_of_the_amount() -> None:
    image = picture(SQUARE)
    blurred = done("gaussian_blur", image, amount=80)
    assert np.array_equal(blurred, done("gaussian_blur", image, sigma=0.8))
