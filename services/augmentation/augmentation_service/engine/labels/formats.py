"""Boxes as data sets write them: COCO, Pascal VOC, YOLO."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias

from augmentation_service.engine.errors import BadLabels
from augmentation_service.engine.images import Size
from augmentation_service.engine.labels.given import Box
from augmentation_service.engine.labels.moved import MovedBox

__all__ = ["BoxFormat", "boxes_from", "row_of"]

#: coco: left, top, width, height. pascal_voc: left, top, right, bottom. yolo: the middle, width
#: and height as shares of the picture. All others in pixels.
BoxFormat: TypeAlias = Literal["coco", "pascal_voc", "yolo"]
Row: TypeAlias = tuple[float, float, float, float]
#: Shares are written with six decimals, mostly; a box at the edge may miss it by that.
_ROUNDING = 1e-5


def _from_coco(row: Row, size: Size) -> Row:
    del size
    return row[0], row[1], row[0] + row[2], row[1] + row[3]


def _to_coco(row: Row, size: Size) -> Row:
    del size
    return row[0], row[1], row[2] - row[0], row[3] - row[1]


def _same(row: Row, size: Size) -> Row:
    del size
    return row


def _from_yolo(row: Row, size: Size) -> Row:
    (x, y, w, h), (width, height) = row, size
    return (
        _at_edge((x - w / 2), width),
        _at_edge((y - h / 2), height),
        _at_edge((x + w / 2), width),
        _at_edge((y + h / 2), height),
    )


def _at_edge(share: float, side: int) -> float:
    """Return a share in pixels; what misses 0 or 1 by rounding is 0 or 1."""
    for edge in (0.0, 1.0):
        if abs(share - edge) < _ROUNDING:
            return edge * side
    return share * side


def _to_yolo(row: Row, size: Size) -> Row:
    (x_min, y_min, x_max, y_max), (width, height) = row, size
    return (
        (x_min + x_max) / 2 / width,
        (y_min + y_max) / 2 / height,
        (x_max - x_min) / width,
        (y_max - y_min) / height,
    )


_FORMATS: dict[str, tuple[Callable[[Row, Size], Row], Callable[[Row, Size], Row]]] = {
    "coco": (_from_coco, _to_coco),
    "pascal_voc": (_same, _same),
    "yolo": (_from_yolo, _to_yolo),
}


def boxes_from(
    rows: Iterable[Sequence[float]],
    form: BoxFormat,
    size: Size,
    labels: Sequence[str | None] | None = None,
) -> list[Box]:
    """Return boxes from rows of four numbers; `size` is width and height of the picture.

    Raises `BadLabels` for rows that are none: not four numbers, or of negative size.
    """
    boxes = []
    for index, row in enumerate(rows):
        if len(row) != 4:
            raise BadLabels(f"boxes[{index}]: a box is four numbers, this has {len(row)}")
        first, second, third, fourth = (float(value) for value in row)
        x_min, y_min, x_max, y_max = _FORMATS[form][0]((first, second, third, fourth), size)
        if not (x_min <= x_max and y_min <= y_max):
            raise BadLabels(f"boxes[{index}]: its size is negative, or no number")
        label = labels[index] if labels is not None else None
        boxes.append(Box(x_min=x_min, y_min=y_min, x_max=x_max, y_max=y_max, label=label))
    return boxes


def row_of(box: Box | MovedBox, form: BoxFormat, size: Size) -> Row:
    """Return a box as four numbers; `size` is that of the picture it lies in now."""
    return _FORMATS[form][1]((box.x_min, box.y_min, box.x_max, box.y_max), size)
