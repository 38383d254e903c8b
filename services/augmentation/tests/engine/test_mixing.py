"""Several pictures become one, and what is hidden: pictures and labels agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from augmentation_service.engine import Augmented, Box, Labels, Source, apply, parse
from augmentation_service.engine.rectangles import apart, bars, joined, spans
from hypothesis import given
from hypothesis import strategies as st

BOX = Box(x_min=10, y_min=6, x_max=26, y_max=20, label="white")


def picture(shape: tuple[int, int], level: int) -> np.ndarray:
    """A dark picture of one level, white in its box."""
    image = np.full((*shape, 3), level, np.uint8)
    image[6:20, 10:26] = 255
    return image


def mixed(name: str, seed: int = 1, **parameters: Any) -> Augmented:
    others = [
        Source(image=picture((40 + 6 * n, 60 - 4 * n), 20 + n), source=str(n),
               labels=Labels(boxes=[BOX]))
        for n in range(3)
    ]  # fmt: skip
    recipe = parse([{"operation": name, "parameters": parameters}])
    return apply(recipe, picture((48, 64), 0), seed=seed, source="s",
                 labels=Labels(boxes=[BOX]), others=others)  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("name", "parameters"),
    [("mosaic", {"spread": 50}), ("cutmix", {"area": 40}), ("overlay", {"size": 60})],
)
def test_boxes_are_where_the_picture_is_white(
    name: str, parameters: dict[str, Any], seed: int
) -> None:
    variant = mixed(name, seed, **parameters)
    assert variant.image.shape == (48, 64, 3)
    assert variant.labels is not None
    white = (variant.image > 128).all(axis=2)
    boxed = np.zeros(white.shape, bool)
    for box in variant.labels.boxes:
        assert box.label == "white"
        left, top, right, bottom = (round(v) for v in (box.x_min, box.y_min, box.x_max, box.y_max))
        boxed[top:bottom, left:right] = True
        if box.visibility > 0.95:
            assert white[top:bottom, left:right].mean() > 0.85
    # What is white lies in a box, but for a pixel at its edges.
    assert (white & ~boxed).sum() <= 0.2 * white.sum() + 8


def test_mixup_weighs_labels_as_pictures() -> None:
    variant = mixed("mixup", share=30)
    assert variant.labels is not None
    assert sorted(box.weight for box in variant.labels.boxes) == pytest.approx([0.3, 0.7])
    assert variant.image[45, 60, 0] in (6, 7)
    alone = mixed("mixup", share=100)
    assert alone.labels is not None
    assert [box.weight for box in alone.labels.boxes] == [1]


@pytest.mark.parametrize("name", ["mixup", "overlay"])
def test_hidden_colours_are_not_mixed_in(name: str) -> None:
    first = np.zeros((20, 20, 4), np.uint8)
    first[..., 2] = 255
    first[..., 3] = 255
    ghost = np.zeros((20, 20, 4), np.uint8)
    ghost[..., 0] = 255  # red where nobody sees it
    parameters = {"mixup": {"share": 50}, "overlay": {"size": 100}}[name]
    recipe = parse([{"operation": name, "parameters": parameters}])
    made = apply(recipe, first, source="s", others=[Source(image=ghost, source="o")]).image
    assert made[..., 0].max() <= 1
    assert made[..., 2].min() >= 254
    assert made[0, 0, 3] in ((127, 128) if name == "mixup" else (255,))


corners = st.tuples(*[st.integers(0, 30)] * 4).map(
    lambda v: (min(v[0], v[1]), min(v[2], v[3]), max(v[0], v[1]), max(v[2], v[3]))
)


@given(st.lists(corners, max_size=8))
def test_rectangles_are_put_apart_and_cover_the_same(rectangles: list[Any]) -> None:
    expected = np.zeros((30, 30), bool)
    for left, top, right, bottom in rectangles:
        expected[top:bottom, left:right] = True
    counts = np.zeros((30, 30), int)
    for left, top, right, bottom in apart(rectangles):
        counts[top:bottom, left:right] += 1
    assert counts.max(initial=0) <= 1
    assert np.array_equal(counts > 0, expected)


def test_bars_cover_rows_and_columns_once() -> None:
    columns, rows = joined([(3, 6), (5, 9), (20, 22)]), joined([(0, 2), (2, 4), (28, 30)])
    assert columns == [(3, 9), (20, 22)]
    assert rows == [(0, 4), (28, 30)]
    counts = np.zeros((30, 25), int)
    for left, top, right, bottom in bars((25, 30), columns, rows):
        counts[top:bottom, left:right] += 1
    expected = np.zeros((30, 25), bool)
    expected[:, 3:9] = expected[:, 20:22] = expected[:4] = expected[28:] = True
    assert np.array_equal(counts, expected)


def test_spans_cover_their_share() -> None:
    assert spans(20, 5, 2, 0) == [(0, 2), (5, 7), (10, 12), (15, 17)]
    assert spans(20, 5, 2, -4) == [(1, 3), (6, 8), (11, 13), (16, 18)]
    assert spans(20, 5, 5, -2.5)[-1][1] == 20


@pytest.mark.parametrize(
    ("name", "parameters", "share"),
    [
        ("grid_dropout", {"cells": 8, "share": 50}, 0.25),
        ("grid_dropout", {"cells": 8, "share": 50, "moves": False}, 0.25),
        ("grid_dropout", {"cells": 4, "share": 100}, 1.0),
        ("grid_mask", {"cells": 8, "width": 50}, 0.75),
        ("random_erasing", {"area": 20, "ratio": 2}, 0.2),
        ("xy_masking", {"columns": 1, "rows": 0, "width": 20}, 0.2),
        ("coarse_dropout", {"count": 1, "width": 30, "height": 50}, 0.15),
    ],
)
@pytest.mark.parametrize("shape", [(80, 160), (160, 80)])
def test_so_much_is_hidden(
    name: str, parameters: dict[str, Any], share: float, shape: tuple[int, int]
) -> None:
    image = np.full((*shape, 3), 200, np.uint8)
    labels = Labels(boxes=[Box(x_min=0, y_min=0, x_max=shape[1], y_max=shape[0])])
    recipe = parse([{"operation": name, "parameters": parameters}])
    variant = apply(recipe, image, seed=2, source="s", labels=labels)
    changed = (variant.image != image).any(axis=2).mean()
    assert changed == pytest.approx(share, abs=0.04)
    assert variant.labels is not None
    visible = sum(box.visibility for box in variant.labels.boxes)
    assert visible == pytest.approx(1 - changed, abs=0.01)


def test_erasing_leaves_noise() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    recipe = parse([{"operation": "random_erasing", "parameters": {"area": 100}}])
    made = apply(recipe, image, source="s").image.astype(float)
    assert made.mean() == pytest.approx(127.5, abs=4)
    assert made.std() == pytest.approx(73.9, abs=3)
