"""Labels go where the pixels go, of every kind and through every operation that moves."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from augmentation_service.engine import (
    REGISTRY,
    BadLabels,
    Box,
    BoxFormat,
    Keypoint,
    Labels,
    MovedLabels,
    Polygon,
    RotatedBox,
    Rules,
    apply,
    boxes_from,
    parse,
    row_of,
)
from augmentation_service.engine.declarations import GeometricOperation
from augmentation_service.engine.parameters import Number
from augmentation_service.engine.randomness import Stream
from hypothesis import given, settings
from hypothesis import strategies as st

MOVING = sorted(n for n, operation in REGISTRY.items() if isinstance(operation, GeometricOperation))
#: So that something is left to compare on pictures of a hundred pixels.
SIZES: dict[str, dict[str, Any]] = {
    "crop": {"width": [60, 100], "height": [50, 100], "x": [0, 100], "y": [0, 100]},
    "centre_crop": {"width": [60, 100], "height": [50, 100]},
    "resize": {"width": [60, 150], "height": [60, 150]},
    "random_resized_crop": {"width": 90, "height": 110, "area_min": 40},
    "pad": {"width": [80, 160], "height": [80, 160], "x": [0, 100], "y": [0, 100]},
    "elastic": {"strength": [1, 6], "smoothness": [10, 30]},
    "d4": {"element": {"choices": ["quarter", "half", "flip_x", "transpose", "antitranspose"]}},
}


def recipe_for(name: str) -> Any:
    return parse([{"operation": name, "parameters": SIZES.get(name, dict(REGISTRY[name].example))}])


def followed(steps: list[Any], image: np.ndarray, **labels: Any) -> MovedLabels:
    moved = apply(parse(steps), image, labels=Labels(**labels)).labels
    assert moved is not None
    return moved


def near(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two areas are the same but for two pixels along the edge."""
    brush, area = np.ones((5, 5), np.uint8), other.astype(np.uint8)
    largest, least = cv2.dilate(area, brush), cv2.erode(area, brush)
    return bool((one <= largest.astype(bool)).all() and (one >= least.astype(bool)).all())


@pytest.mark.parametrize("name", MOVING)
@given(
    shape=st.sampled_from([(100, 100), (80, 120), (120, 80)]),
    left=st.integers(0, 50),
    top=st.integers(0, 50),
    width=st.integers(12, 60),
    height=st.integers(12, 60),
    variant=st.integers(0, 10_000),
)
@settings(max_examples=15, deadline=None)
def test_box_polygon_mask_and_picture_agree(
    name: str, shape: tuple[int, int], left: int, top: int, width: int, height: int, variant: int
) -> None:
    right, bottom = min(left + width, shape[1]), min(top + height, shape[0])
    image = np.zeros((*shape, 1), np.uint8)
    image[top:bottom, left:right] = 255
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    labels = Labels(
        boxes=[Box(x_min=left, y_min=top, x_max=right, y_max=bottom)],
        polygons=[Polygon(points=[(float(x), float(y)) for x, y in corners])],
    )
    mask = (image[..., 0] > 0).astype(np.uint8) * 7
    made = apply(recipe_for(name), image, labels=labels, masks=[mask], variant=variant)
    seen = made.image[..., 0] > 127
    moved_mask = made.masks[0] == 7
    assert moved_mask.shape == seen.shape
    assert near(moved_mask, seen)
    assert made.labels is not None
    if not made.labels.boxes:
        assert seen.sum() < 60
        return
    (box,), (polygon,) = made.labels.boxes, made.labels.polygons
    canvas = np.zeros(seen.shape, np.uint8)
    outline = np.rint((np.array(polygon.points) - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(canvas, [outline], 1, shift=4)
    assert near(canvas.astype(bool), seen)
    if seen.sum() > 40:
        rows, columns = np.nonzero(seen)
        assert box.x_min == pytest.approx(columns.min(), abs=2.5)
        assert box.y_min == pytest.approx(rows.min(), abs=2.5)
        assert box.x_max == pytest.approx(columns.max() + 1, abs=2.5)
        assert box.y_max == pytest.approx(rows.max() + 1, abs=2.5)


@pytest.mark.parametrize("name", MOVING)
@pytest.mark.parametrize("variant", range(4))
def test_keypoints_lie_on_their_pixels(name: str, variant: int) -> None:
    y, x = np.mgrid[:100, :120]
    spots = [(60.0, 50.0), (50.0, 40.0), (75.0, 62.0)]
    found = 0
    for spot in spots:
        image = np.exp(-((x + 0.5 - spot[0]) ** 2 + (y + 0.5 - spot[1]) ** 2) / 18) * 255
        labels = Labels(keypoints=[Keypoint(x=spot[0], y=spot[1])])
        made = apply(
            recipe_for(name), image.astype(np.uint8)[..., None], labels=labels, variant=variant
        )
        assert made.labels is not None
        (point,) = made.labels.keypoints
        bright = made.image[..., 0].astype(float)
        height, width = bright.shape
        if not point.visible or not (8 < point.x < width - 8 and 8 < point.y < height - 8):
            continue
        found += 1
        rows, columns = np.nonzero(bright > bright.max() * 0.8)
        assert point.x == pytest.approx(columns.mean() + 0.5, abs=1.2)
        assert point.y == pytest.approx(rows.mean() + 0.5, abs=1.2)
    if name not in ("box_safe_crop", "random_resized_crop"):
        assert found


def test_the_strongest_perspective_still_shows_a_plane() -> None:
    perspective = REGISTRY["perspective"]
    assert isinstance(perspective, GeometricOperation)
    most = next(p.most for p in perspective.parameters if isinstance(p, Number))
    corners = np.array([(0.0, 0.0), (200.0, 0.0), (200.0, 100.0), (0.0, 100.0)])
    for seed in range(300):
        stream = Stream(seed.to_bytes(2, "big"))
        moved = perspective.move((200, 100), stream, strength=float(most)).points(corners)
        sides = np.roll(moved, -1, axis=0) - moved
        after = np.roll(sides, -1, axis=0)
        assert (sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0] > 0).all()


PICTURE = np.zeros((100, 200, 3), np.uint8)
TURN = {"operation": "rotate", "parameters": {"angle": 30, "canvas": "expand"}}


def test_a_rotated_box_turns_with_the_picture_and_keeps_its_sides() -> None:
    given = RotatedBox(x=100, y=50, width=60, height=20, angle=10, label="ship")
    (box,) = followed([TURN], PICTURE, rotated_boxes=[given]).rotated_boxes
    assert (box.width, box.height) == (pytest.approx(60, abs=1e-3), pytest.approx(20, abs=1e-3))
    assert box.angle == pytest.approx(40, abs=1e-3)
    assert (box.label, box.visibility) == ("ship", 1.0)
    flip = {"operation": "flip", "parameters": {"axis": "x"}}
    (box,) = followed([flip], PICTURE, rotated_boxes=[given]).rotated_boxes
    assert (box.width, box.height) == (pytest.approx(60, abs=1e-3), pytest.approx(20, abs=1e-3))
    assert box.angle == pytest.approx(-10, abs=1e-3)
    assert (box.x, box.y) == (100, 50)


def test_a_tall_rotated_box_keeps_its_width() -> None:
    given = RotatedBox(x=100, y=50, width=10, height=40)
    (box,) = followed([TURN], PICTURE, rotated_boxes=[given]).rotated_boxes
    assert (box.width, box.height) == (pytest.approx(10, abs=1e-3), pytest.approx(40, abs=1e-3))
    assert box.angle == pytest.approx(30, abs=1e-3)


def test_a_hollow_polygon_is_cut_at_the_edge() -> None:
    u_shape = [(150.0, 10.0), (190.0, 10.0), (190.0, 90.0), (150.0, 90.0), (150.0, 70.0),
               (170.0, 70.0), (170.0, 30.0), (150.0, 30.0)]  # fmt: skip
    shift = {"operation": "shift", "parameters": {"x": 10}}
    (polygon,) = followed([shift], PICTURE, polygons=[Polygon(points=u_shape)]).polygons
    assert max(x for x, _ in polygon.points) == 200
    # Of 20 x 80 and two arms of 20 x 20, 10 x 80 are cut off.
    assert polygon.visibility == pytest.approx(1600 / 2400, abs=1e-4)


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        (Rules(), [0, 1, 2]),
        (Rules(min_area=101), [1, 2]),
        (Rules(min_visibility=0.6), [0, 1]),
        (Rules(min_visibility=0.5), [0, 1, 2]),
        (Rules(min_area=1e6), []),
    ],
)
def test_rules_say_what_is_worth_keeping(rules: Rules, kept: list[int]) -> None:
    boxes = [
        Box(x_min=0, y_min=0, x_max=10, y_max=10),
        Box(x_min=50, y_min=50, x_max=70, y_max=60),
        Box(x_min=190, y_min=50, x_max=210, y_max=70),
    ]
    moved = followed([], PICTURE, boxes=boxes, rules=rules).boxes
    assert [box.index for box in moved] == kept


def test_without_clipping_a_box_keeps_its_extent() -> None:
    box = Box(x_min=150, y_min=20, x_max=190, y_max=60)
    shift = {"operation": "shift", "parameters": {"x": 10}}
    (whole,) = followed([shift], PICTURE, boxes=[box], rules=Rules(clip=False)).boxes
    assert (whole.x_min, whole.x_max, whole.visibility) == (170, 210, 0.75)


def test_all_may_be_dropped() -> None:
    away = {"operation": "shift", "parameters": {"x": 100, "y": 100}}
    moved = followed(
        [away],
        PICTURE,
        boxes=[Box(x_min=0, y_min=0, x_max=200, y_max=100)],
        rotated_boxes=[RotatedBox(x=10, y=10, width=0, height=5)],
        polygons=[Polygon(points=[(0, 0), (9, 0), (0, 9)])],
        keypoints=[Keypoint(x=3, y=3)],
    )
    assert (moved.boxes, moved.rotated_boxes, moved.polygons) == ([], [], [])
    assert not moved.keypoints[0].visible


FORMATS: list[tuple[BoxFormat, tuple[float, float, float, float]]] = [
    ("coco", (20.0, 10.0, 60.0, 50.0)),
    ("pascal_voc", (20.0, 10.0, 80.0, 60.0)),
    ("yolo", (0.25, 0.35, 0.3, 0.5)),
]


@pytest.mark.parametrize(("form", "row"), FORMATS)
def test_formats_say_the_same_box(form: BoxFormat, row: tuple[float, ...]) -> None:
    (box,) = boxes_from([row], form, (200, 100), ["cat"])
    assert (box.x_min, box.y_min, box.x_max, box.y_max) == pytest.approx((20, 10, 80, 60))
    assert box.label == "cat"
    assert row_of(box, form, (200, 100)) == pytest.approx(row)


def test_yolo_boxes_at_the_edge_end_there() -> None:
    # 0.9999995 + 0.0000005, as six decimals have it.
    (box,) = boxes_from([(0.666667, 0.5, 0.666667, 1.0)], "yolo", (300, 100))
    assert (box.y_min, box.y_max, box.x_max) == (0, 100, 300)
    (moved,) = followed([], np.zeros((100, 300, 1), np.uint8), boxes=[box]).boxes
    assert moved.visibility == 1.0
    assert row_of(moved, "yolo", (300, 100))[3] == 1.0


@pytest.mark.parametrize(
    ("form", "row"),
    [("coco", (1, 1, -5, 4)), ("pascal_voc", (5, 5, 1, 9)), ("yolo", (0.5, 0.5, float("nan"), 1)),
     ("coco", (1, 2, 3))],
)  # fmt: skip
def test_rows_that_are_no_boxes_are_refused(form: BoxFormat, row: tuple[float, ...]) -> None:
    with pytest.raises(BadLabels, match=r"boxes\[0\]"):
        boxes_from([row], form, (10, 10))


@pytest.mark.parametrize(
    "mask", [np.zeros((100, 199), np.uint8), np.zeros((100, 200), np.int64)], ids=["size", "type"]
)
def test_masks_that_do_not_fit_are_refused(mask: np.ndarray) -> None:
    with pytest.raises(BadLabels, match=r"masks\[0\]"):
        apply(parse([]), PICTURE, masks=[mask])


def test_masks_of_many_instances_keep_their_numbers() -> None:
    mask = np.arange(100 * 200, dtype=np.uint16).reshape(100, 200)
    steps = [TURN, {"operation": "elastic", "parameters": {"strength": 3}}]
    (moved,) = apply(parse(steps), PICTURE, masks=[mask]).masks
    assert moved.dtype == np.uint16
    assert set(np.unique(moved)) <= set(range(20_000))
    assert moved.max() > 19_000
