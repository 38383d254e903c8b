from __future__ import annotations

import pytest
from image_service.geometry import FITS, ORIENTATIONS, plan
from PIL import Image

WIDE = (1600, 1200)


@pytest.mark.parametrize(
    ("width", "height", "fit", "size", "canvas", "box"),
    [
        (None, None, "inside", (1600, 1200), (1600, 1200), (0, 0, 1600, 1200)),
        (800, None, "inside", (800, 600), (800, 600), (0, 0, 1600, 1200)),
        (None, 300, "cover", (400, 300), (400, 300), (0, 0, 1600, 1200)),
        (512, 512, "inside", (512, 384), (512, 384), (0, 0, 1600, 1200)),
        (512, 512, "scale-down", (512, 384), (512, 384), (0, 0, 1600, 1200)),
        (512, 512, "outside", (683, 512), (683, 512), (0, 0, 1600, 1200)),
        (512, 512, "contain", (512, 384), (512, 512), (0, 0, 1600, 1200)),
        (512, 512, "fill", (512, 512), (512, 512), (0, 0, 1600, 1200)),
        (512, 512, "cover", (512, 512), (512, 512), (200, 0, 1400, 1200)),
        (400, 100, "cover", (400, 100), (400, 100), (0, 400, 1600, 800)),
    ],
)
def test_fits(width, height, fit, size, canvas, box):
    made = plan(WIDE, width, height, fit)
    assert made.size == size
    assert made.canvas == canvas
    assert made.box == pytest.approx(box)


@pytest.mark.parametrize(
    ("width", "height", "fit", "size"),
    [
        (3200, 2400, "inside", (1600, 1200)),
        (3200, None, "inside", (1600, 1200)),
        (3200, 3200, "outside", (1600, 1200)),
        (100, 5000, "outside", (1600, 1200)),
        # the largest of the proportions asked for that needs no enlarging
        (3200, 3200, "cover", (1200, 1200)),
        (3200, 1200, "cover", (1600, 600)),
        (3200, 3200, "fill", (1200, 1200)),
    ],
)
def test_nothing_enlarges(width, height, fit, size):
    assert plan(WIDE, width, height, fit).size == size


def test_a_small_picture_is_padded_to_the_box_and_not_enlarged():
    made = plan((30, 20), 100, 100, "contain")
    assert made.size == (30, 20)
    assert made.canvas == (100, 100)


@pytest.mark.parametrize("fit", FITS)
def test_no_side_becomes_nothing(fit):
    made = plan((10_000, 1), 10, 10, fit)
    assert min(*made.size, *made.canvas) >= 1


@pytest.mark.parametrize("value", ORIENTATIONS)
def test_a_box_of_the_upright_picture_is_found_in_the_stored_one(value):
    orientation = ORIENTATIONS[value]
    upright = Image.new("L", (7, 5))
    upright.putdata(range(35))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(value)
    stored = upright if undo is None else upright.transpose(undo)
    assert orientation.turned(stored.size) == upright.size
    box = (1, 2, 4, 5)
    found = stored.crop(orientation.stored(box, stored.size))
    if orientation.transpose is not None:
        found = found.transpose(orientation.transpose)
    assert found.tobytes() == upright.crop(box).tobytes()
