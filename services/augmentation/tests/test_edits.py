from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from augmentation_service.edits import OPERATIONS, Edit, Edited, EditJob, edit
from imagesystem.errors import Rejected
from PIL import Image

Photo = Callable[..., bytes]


def edited(data: bytes, *operations: dict[str, Any], **more: Any) -> tuple[Edited, Image.Image]:
    job = EditJob(
        operations=msgspec.convert(operations, tuple[Edit, ...]),
        source="",
        format=more.pop("format", "png"),
        max_pixels=more.pop("max_pixels", 100_000),
        **more,
    )
    made = edit(data, job)
    return made, Image.open(io.BytesIO(made.data))


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({"width": 30}, (30, 20)),
        ({"height": 10}, (15, 10)),
        ({"width": 30, "height": 30}, (30, 20)),
        ({"width": 30, "height": 30, "preserve_ratio": False}, (30, 30)),
        ({"width": 120, "height": 120}, (120, 80)),
        ({"width": 1}, (1, 1)),
    ],
)
def test_resize(photo: Photo, asked: dict[str, Any], size: tuple[int, int]) -> None:
    made, image = edited(photo(size=(60, 40)), {"operation": "resize", **asked})
    assert image.size == size == (made.width, made.height)


def test_crop_takes_these_pixels(photo: Photo) -> None:
    data = photo(size=(60, 40))
    asked = {"operation": "crop", "x": 7, "y": 9, "width": 20, "height": 10}
    _, image = edited(data, asked)
    whole = np.asarray(Image.open(io.BytesIO(data)))
    assert np.array_equal(np.asarray(image), whole[9:19, 7:27])


def test_a_crop_beyond_the_edge_is_refused(photo: Photo) -> None:
    with pytest.raises(Rejected) as refused:
        edited(photo(), {"operation": "crop", "x": 50, "width": 20, "height": 10})
    assert refused.value.code == "crop_outside"


def test_too_large_a_result_is_refused(photo: Photo) -> None:
    with pytest.raises(Rejected) as refused:
        edited(photo(), {"operation": "resize", "width": 60_000})
    assert refused.value.code == "output_too_large"


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA"])
@pytest.mark.parametrize(
    "operation",
    [
        {"operation": "resize", "width": 31},
        {"operation": "crop", "width": 3, "height": 3},
        *(
            {"operation": "filter", "name": name}
            for name in ("blur", "sharpen", "smooth", "detail", "edges", "emboss", "grayscale")
        ),
        {
            "operation": "enhance",
            "brightness": 1.5,
            "contrast": 0.5,
            "saturation": 2,
            "sharpness": 3,
        },
        {"operation": "convert", "format": "webp"},
    ],
    ids=lambda operation: "-".join(map(str, list(operation.values())[:2])),
)
def test_every_operation_takes_every_picture(
    photo: Photo, mode: str, operation: dict[str, Any]
) -> None:
    made, image = edited(photo(mode=mode), operation)
    assert image.size == (made.width, made.height)


@pytest.mark.parametrize(
    "name", ["blur", "sharpen", "smooth", "detail", "edges", "emboss", "grayscale"]
)
def test_filters_keep_opacity(name: str) -> None:
    array = np.full((20, 20, 4), 120, np.uint8)
    array[..., 3] = 77
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    _, image = edited(buffer.getvalue(), {"operation": "filter", "name": name})
    assert "A" in image.getbands()
    assert np.asarray(image.getchannel("A")).tolist() == array[..., 3].tolist()


def test_enhancing_by_one_changes_nothing(photo: Photo) -> None:
    _, same = edited(photo(), {"operation": "enhance"})
    assert np.array_equal(np.asarray(same), np.asarray(Image.open(io.BytesIO(photo()))))


def test_the_last_conversion_decides(photo: Photo) -> None:
    made, image = edited(photo(), {"operation": "convert", "format": "jpeg"}, format="webp")
    assert (made.media_type, image.format) == ("image/jpeg", "JPEG")


def test_every_operation_is_in_the_table() -> None:
    assert set(OPERATIONS) == set(Edit.__args__)
