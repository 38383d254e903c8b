from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from augmentation_service.engine import Box, Keypoint, Labels, TooLarge, apply, parse
from hypothesis import given, settings
from hypothesis import strategies as st


def rotated(image: np.ndarray, angle: float, **more: Any) -> np.ndarray:
    recipe = parse([{"operation": "rotate", "parameters": {"angle": angle, **more}}])
    return apply(recipe, image).image


def flipped(image: np.ndarray, axis: str) -> np.ndarray:
    return apply(parse([{"operation": "flip", "parameters": {"axis": axis}}]), image).image


def numbered(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Every pixel another value, as far as there are any."""
    return (
        (np.arange(height * width * channels) % 251).reshape(height, width, channels).astype("u1")
    )


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    red = 127 + 90 * np.sin(x / 9) * np.cos(y / 11)
    return np.stack([red, x * 255 / width, y * 255 / height], axis=-1).astype(np.uint8)


def test_x_turns_upside_down_and_y_mirrors_left_and_right() -> None:
    image = numbered(3, 4)
    assert np.array_equal(flipped(image, "x"), image[::-1])
    assert np.array_equal(flipped(image, "y"), image[:, ::-1])
    assert np.array_equal(flipped(flipped(image, "x"), "x"), image)


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (5, 5), (1, 7), (1, 1)])
@pytest.mark.parametrize("angle", [90, 180, 270, -90, 360, -180, 0])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_right_angles_are_exact_and_counter_clockwise(
    shape: tuple[int, int], angle: int, channels: int
) -> None:
    image = numbered(*shape, channels)
    assert np.array_equal(rotated(image, angle, canvas="expand"), np.rot90(image, angle // 90 % 4))
    if angle % 180 == 0 or shape[0] == shape[1]:
        assert np.array_equal(rotated(image, angle), np.rot90(image, angle // 90 % 4))


def test_a_quarter_turn_on_the_same_canvas_cuts_and_fills() -> None:
    image = numbered(4, 8) + 1
    result = rotated(image, 90, fill="#00ff00")
    turned = np.rot90(image)  # 8 high, 4 wide, in the middle of 4 x 8
    assert np.array_equal(result[:, 2:6], turned[2:6])
    assert (result[:, :2] == (0, 255, 0)).all()
    assert (result[:, 6:] == (0, 255, 0)).all()


def test_small_angles_turn_counter_clockwise() -> None:
    image = np.zeros((101, 101, 1), np.uint8)
    image[50, 51:] = 255  # a hand that points to three o'clock
    rows, columns = np.nonzero(rotated(image, 30)[..., 0] > 100)
    assert rows.min() < 30, "it now points up"
    assert rows.max() <= 51
    assert columns.max() > 85


@pytest.mark.parametrize(("angle", "size"), [(45, (142, 142)), (30, (137, 137)), (90, (100, 100))])
def test_an_expanded_canvas_holds_everything(angle: float, size: tuple[int, int]) -> None:
    image = np.full((100, 100, 1), 255, np.uint8)
    result = rotated(image, angle, canvas="expand")
    assert result.shape[:2] == size
    assert abs(int(result.sum(dtype=np.int64)) / 255 / 10_000 - 1) < 0.005, "nothing is cut off"


def reference(image: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Rotate by textbook bilinear interpolation in float64; second: where all four were there."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width] + 0.5
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    dx, dy = x - width / 2, y - height / 2
    source_x = cos * dx - sin * dy + width / 2 - 0.5
    source_y = sin * dx + cos * dy + height / 2 - 0.5
    left, top = np.floor(source_x).astype(int), np.floor(source_y).astype(int)
    inside = (left >= 0) & (top >= 0) & (left < width - 1) & (top < height - 1)
    left, top = left.clip(0, width - 2), top.clip(0, height - 2)
    fx, fy = (source_x - left)[..., None], (source_y - top)[..., None]
    values = image.astype(float)
    upper = values[top, left] * (1 - fx) + values[top, left + 1] * fx
    lower = values[top + 1, left] * (1 - fx) + values[top + 1, left + 1] * fx
    return upper * (1 - fy) + lower * fy, inside


@pytest.mark.parametrize("angle", [-170.5, -33, 0.5, 12.25, 45, 90.01, 200])
@pytest.mark.parametrize("shape", [(60, 60), (40, 90), (90, 40)])
def test_rotation_is_what_the_textbook_says(angle: float, shape: tuple[int, int]) -> None:
    image = smooth(*shape)
    expected, inside = reference(image, angle)
    difference = np.abs(rotated(image, angle) - expected)[inside]
    assert difference.max() <= 2
    assert difference.mean() < 0.5


def test_hidden_colours_do_not_show_at_edges() -> None:
    image = np.zeros((60, 60, 4), np.uint8)
    image[..., 0] = 255  # red where nobody sees it
    image[15:45, 15:45] = (0, 0, 255, 255)
    for interpolation in ("linear", "cubic"):
        result = rotated(image, 30, interpolation=interpolation)
        seen = result[result[..., 3] > 0]
        assert seen[:, 0].max() == 0, "no red"
        assert seen[:, 2].min() >= 250, "as blue as before"


def test_a_grey_picture_is_filled_with_the_luma() -> None:
    image = np.zeros((20, 20, 1), np.uint8)
    assert rotated(image, 45, fill="#ffffff")[0, 0, 0] == 255
    assert rotated(image, 45, fill="#ff0000")[0, 0, 0] == 76


def test_what_cannot_be_held_is_refused_before_it_is_made() -> None:
    long = np.zeros((1, 40_000, 1), np.uint8)
    recipe = parse([{"operation": "rotate", "parameters": {"angle": 45, "canvas": "expand"}}])
    with pytest.raises(TooLarge) as caught:
        apply(recipe, long, max_pixels=100_000_000)
    assert (caught.value.limit, caught.value.path) == ("pixels", "recipe[0]")
    with pytest.raises(TooLarge) as caught:
        rotated(long, 45)
    assert (caught.value.limit, caught.value.allowed) == ("side", 32_766)
    assert rotated(long, 90, canvas="expand").shape == (40_000, 1, 1)
    assert flipped(long, "y").shape == (1, 40_000, 1)


def bounds(mask: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


recipes = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {
                "operation": st.just("rotate"),
                "parameters": st.fixed_dictionaries(
                    {
                        "angle": st.floats(-360, 360),
                        "canvas": st.sampled_from(["keep", "expand"]),
                    }
                ),
            }
        ),
        st.fixed_dictionaries(
            {
                "operation": st.just("flip"),
                "parameters": st.fixed_dictionaries({"axis": st.sampled_from(["x", "y"])}),
            }
        ),
    ),
    min_size=1,
    max_size=3,
)


@given(
    steps=recipes,
    shape=st.sampled_from([(80, 80), (60, 110), (110, 60)]),
    left=st.integers(0, 45),
    top=st.integers(0, 45),
    width=st.integers(8, 60),
    height=st.integers(8, 60),
)
@settings(max_examples=150, deadline=None)
def test_boxes_and_keypoints_go_where_the_pixels_go(
    steps: list[Any], shape: tuple[int, int], left: int, top: int, width: int, height: int
) -> None:
    right, bottom = min(left + width, shape[1]), min(top + height, shape[0])
    image = np.zeros((*shape, 1), np.uint8)
    image[top:bottom, left:right] = 255
    box = Box(x_min=left, y_min=top, x_max=right, y_max=bottom, label="cat")
    centre = Keypoint(x=(left + right) / 2, y=(top + bottom) / 2)
    result = apply(parse(steps), image, labels=Labels(boxes=[box], keypoints=[centre]))
    assert result.labels is not None
    mask = result.image[..., 0] > 127
    seen = result.image.sum(dtype=np.int64) / image.sum(dtype=np.int64)
    if not result.labels.boxes:
        assert seen < 0.02
        return
    (moved,) = result.labels.boxes
    assert (moved.index, moved.label) == (0, "cat")
    assert abs(moved.visibility - seen) < 0.1
    if mask.sum() < 20:
        return  # a sliver: half-covered pixels are most of it
    found = bounds(mask)
    # A corner's tip covers less than half of its pixel, and each step blurs it a little more.
    slack = 1.5 + len(steps)
    told = (moved.x_min, moved.y_min, moved.x_max, moved.y_max)
    assert all(abs(a - b) <= slack for a, b in zip(told, found, strict=True)), (told, found)
    (point,) = result.labels.keypoints
    if point.visible:
        row = min(int(point.y), mask.shape[0] - 1)
        column = min(int(point.x), mask.shape[1] - 1)
        assert mask[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].any()
