from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from augmentation_service.engine import BadLabels, Box, Keypoint, Labels, MovedBox, apply, parse
from augmentation_service.engine.labels.polygons import area, clipped

IMAGE = np.zeros((100, 200, 3), np.uint8)


def moved(steps: list[Any], *boxes: tuple[float, float, float, float]) -> list[MovedBox]:
    labels = Labels(
        boxes=[Box(x_min=a, y_min=b, x_max=c, y_max=d) for a, b, c, d in boxes], keypoints=[]
    )
    result = apply(parse(steps), IMAGE, labels=labels)
    assert result.labels is not None
    return result.labels.boxes


def rotate(angle: float, **more: Any) -> dict[str, Any]:
    return {"operation": "rotate", "parameters": {"angle": angle, **more}}


def flip(axis: str) -> dict[str, Any]:
    return {"operation": "flip", "parameters": {"axis": axis}}


def corners(box: MovedBox) -> tuple[float, float, float, float]:
    return box.x_min, box.y_min, box.x_max, box.y_max


def test_flips_mirror_boxes() -> None:
    (box,) = moved([flip("y")], (10, 20, 50, 40))
    assert corners(box) == (150, 20, 190, 40)
    (box,) = moved([flip("x")], (10, 20, 50, 40))
    assert corners(box) == (10, 60, 50, 80)


def test_a_quarter_turn_swaps_sides() -> None:
    (box,) = moved([rotate(90, canvas="expand")], (10, 20, 50, 40))
    assert corners(box) == (20, 150, 40, 190)


def test_turning_back_gives_the_box_back_and_not_a_larger_one() -> None:
    there_and_back = [rotate(30, canvas="expand"), rotate(-30)]
    (box,) = moved(there_and_back, (80, 40, 120, 60))
    assert box.x_max - box.x_min == pytest.approx(40, abs=1e-3)
    assert box.y_max - box.y_min == pytest.approx(20, abs=1e-3)


def test_what_was_cut_off_does_not_come_back() -> None:
    (box,) = moved([rotate(90), rotate(-90)], (0, 40, 100, 60))
    assert corners(box) == (50, 40, 100, 60)
    assert box.visibility == 0.5


def test_boxes_at_and_beyond_the_edge() -> None:
    boxes = moved([], (0, 0, 200, 100), (-10, -10, 10, 10), (150, 50, 300, 150), (200, 0, 210, 9))
    assert [corners(box) for box in boxes] == [
        (0, 0, 200, 100),
        (0, 0, 10, 10),
        (150, 50, 200, 100),
    ]
    assert [box.index for box in boxes] == [0, 1, 2]
    assert [box.visibility for box in boxes] == [1.0, 0.25, pytest.approx(1 / 6, abs=1e-4)]


def test_boxes_without_area_are_dropped_and_all_may_be() -> None:
    assert moved([rotate(10)], (10, 10, 10, 50), (5, 5, 5, 5)) == []
    assert moved([rotate(90)], (0, 0, 20, 100)) == [], "cut off by the canvas"


def test_boxes_that_are_none_are_refused() -> None:
    with pytest.raises(BadLabels, match=r"boxes\[1\]"):
        moved([], (0, 0, 1, 1), (10, 0, 5, 10))


def test_keypoints_keep_their_number_and_lose_sight() -> None:
    labels = Labels(
        keypoints=[
            Keypoint(x=100, y=50, label="nose"),
            Keypoint(x=0, y=0),
            Keypoint(x=90, y=50, visible=False),
        ]
    )
    result = apply(parse([rotate(90)]), IMAGE, labels=labels)
    assert result.labels is not None
    nose, corner, hidden = result.labels.keypoints
    assert (nose.x, nose.y, nose.visible, nose.label) == (100, 50, True, "nose")
    assert not corner.visible
    assert (hidden.x, hidden.y, hidden.visible) == (100, 60, False)
    back = apply(parse([rotate(90), rotate(-90)]), IMAGE, labels=labels)
    assert back.labels is not None
    assert not back.labels.keypoints[1].visible, "its pixel was cut off in between"


def test_without_labels_there_are_none() -> None:
    assert apply(parse([rotate(10)]), IMAGE).labels is None


def test_clipping_a_polygon() -> None:
    diamond = np.array([(0.0, -5.0), (5.0, 0.0), (0.0, 5.0), (-5.0, 0.0)])
    assert area(diamond) == 50
    quarter = clipped(diamond, (0, 0, 100, 100))
    assert area(quarter) == 12.5
    assert len(clipped(diamond + 50, (0, 0, 10, 10))) == 0
    assert np.array_equal(clipped(diamond + 50, (0, 0, 100, 100)), diamond + 50)
