"""Labels and masks where parts of a picture are hidden, and where several become one."""

from __future__ import annotations

import numpy as np
import pytest
from augmentation_service.engine import Box, Keypoint, Labels, MovedLabels
from augmentation_service.engine.declarations import Placement
from augmentation_service.engine.labels.masks import join_masks
from augmentation_service.engine.labels.tracking import Tracker
from augmentation_service.engine.moves import Affine

SIZE = (200, 100)
LABELS = Labels(
    boxes=[
        Box(x_min=10, y_min=10, x_max=50, y_max=50, label="left"),
        Box(x_min=150, y_min=10, x_max=190, y_max=50, label="right"),
    ],
    keypoints=[Keypoint(x=20, y=20), Keypoint(x=170, y=20)],
)


def shown(moved: MovedLabels) -> dict[tuple[int, str | None], tuple[float, float]]:
    return {(box.picture, box.label): (box.visibility, box.weight) for box in moved.boxes}


@pytest.mark.parametrize(
    ("rectangles", "visible"),
    [
        ([(0, 0, 30, 100)], {"left": 0.5, "right": 1.0}),
        ([(0, 0, 30, 30), (30, 30, 60, 60)], {"left": 0.5, "right": 1.0}),
        ([(0, 0, 200, 100)], {}),
        ([], {"left": 1.0, "right": 1.0}),
    ],
)
def test_what_hides_takes_visibility(
    rectangles: list[tuple[int, ...]], visible: dict[str, float]
) -> None:
    tracker = Tracker(LABELS, SIZE)
    tracker.hide(np.array(rectangles, np.int64).reshape(-1, 4))
    moved = tracker.labels()
    assert {box.label: box.visibility for box in moved.boxes} == visible
    for box in moved.boxes:
        assert box.x_max - box.x_min == 40, "a box keeps its place, whatever hides it"


def test_what_hides_keypoints_makes_them_invisible() -> None:
    tracker = Tracker(LABELS, SIZE)
    tracker.hide(np.array([(0, 0, 100, 100)]))
    assert [point.visible for point in tracker.labels().keypoints] == [False, True]


def placed(x: float, region: tuple[float, float, float, float], weight: float = 1.0) -> Placement:
    return Placement(move=Affine(size=SIZE, x0=x), region=region, weight=weight)


def test_a_picture_pasted_over_another_hides_what_is_below() -> None:
    one, two = Tracker(LABELS, SIZE), Tracker(LABELS, SIZE, picture=3)
    one.join([two], [placed(0, (0, 0, 200, 100)), placed(0, (100, 0, 200, 100))])
    moved = one.labels()
    assert shown(moved) == {(0, "left"): (1.0, 1.0), (3, "right"): (1.0, 1.0)}
    assert [(p.picture, p.visible) for p in moved.keypoints] == [
        (0, True), (0, False), (3, False), (3, True)
    ]  # fmt: skip


def test_pictures_side_by_side_are_cut_at_their_regions() -> None:
    one, two = Tracker(LABELS, SIZE), Tracker(LABELS, SIZE, picture=1)
    one.join([two], [placed(-30, (0, 0, 100, 100)), placed(80, (100, 0, 200, 100))])
    assert shown(one.labels()) == {(0, "left"): (0.5, 1.0), (1, "left"): (0.75, 1.0)}


def test_blended_pictures_keep_all_their_labels_by_weight() -> None:
    one, two = Tracker(LABELS, SIZE), Tracker(LABELS, SIZE, picture=1)
    whole = (0.0, 0.0, 200.0, 100.0)
    one.join([two], [placed(0, whole, 0.7), placed(0, whole, 0.3)])
    moved = one.labels()
    assert shown(moved) == {
        (0, "left"): (1.0, 0.7), (0, "right"): (1.0, 0.7),
        (1, "left"): (1.0, 0.3), (1, "right"): (1.0, 0.3),
    }  # fmt: skip
    assert all(point.visible for point in moved.keypoints)


def test_masks_are_joined_where_pictures_lie() -> None:
    first, second = np.full((100, 200), 1, np.uint8), np.full((100, 200), 2, np.uint8)
    placements = [placed(0, (0, 0, 200, 100)), placed(20, (100, 0, 200, 100))]
    (joined,) = join_masks([[first], [second]], placements)
    assert (joined[:, :100] == 1).all()
    assert (joined[:, 100:] == 2).all()
    (without,) = join_masks([[first], []], placements)
    assert not without[:, 100:].any(), "of what has no mask, background"
    blended = [placed(0, (0, 0, 200, 100), 0.7), placed(0, (0, 0, 200, 100), 0.3)]
    (heavier,) = join_masks([[first], [second]], blended)
    assert (heavier == 1).all()
