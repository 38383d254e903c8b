"""COCO: one JSON document for a whole data set (https://cocodataset.org/#format-data).

Read: boxes, polygons, keypoints; of masks in run lengths, the box. Written as a stream.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, TypeAlias

import msgspec

from augmentation_service.datasets.annotations import Annotation, Category, Given, Instance
from augmentation_service.engine import BadLabels, Box, Keypoint, Labels, Polygon

__all__ = ["Document", "Picture", "pieces", "read"]

_Id: TypeAlias = int | str


class _Image(msgspec.Struct):
    id: _Id
    file_name: str
    width: int | None = None
    height: int | None = None


class _Category(msgspec.Struct):
    id: int
    name: str
    supercategory: str | None = None
    keypoints: list[str] = []
    skeleton: list[tuple[int, int]] = []


class _Object(msgspec.Struct):
    image_id: _Id
    category_id: int
    bbox: list[float] | None = None
    segmentation: Any = None
    keypoints: list[float] | None = None
    iscrowd: int = 0


class Document(msgspec.Struct):
    """What is read of a COCO document; anything else in it is passed over."""

    images: list[_Image]
    annotations: list[_Object] = []
    categories: list[_Category] = []


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A picture of a data set that is written."""

    name: str
    width: int
    height: int
    annotations: list[Annotation]


def read(document: Document) -> tuple[dict[str, Given], list[Category]]:
    """Return the labels by file name, and the categories; raises `BadLabels` with the place."""
    names = {image.id: image.file_name for image in document.images}
    categories = {category.id: category for category in document.categories}
    builders: dict[str, _Builder] = {name: _Builder() for name in names.values()}
    for place, found in enumerate(document.annotations):
        path = f"annotations[{place}]"
        if found.image_id not in names:
            raise BadLabels(f"{path}: there is no image {found.image_id!r}")
        if found.category_id not in categories:
            raise BadLabels(f"{path}: there is no category {found.category_id}")
        builders[names[found.image_id]].add(found, categories[found.category_id], path)
    kinds = [
        Category(
            name=category.name,
            id=category.id,
            supercategory=category.supercategory,
            keypoints=category.keypoints,
            skeleton=category.skeleton,
        )
        for category in document.categories
    ]
    return {name: builder.given() for name, builder in builders.items()}, kinds


class _Builder:
    """Collects the labels of one picture."""

    def __init__(self) -> None:
        self._boxes: list[Box] = []
        self._polygons: list[Polygon] = []
        self._keypoints: list[Keypoint] = []
        self._instances: list[Instance] = []

    def add(self, found: _Object, category: _Category, path: str) -> None:
        name = category.name
        polygons = self._add_polygons(found, name, path)
        keypoints = self._add_keypoints(found, category, path)
        box = None
        if found.bbox:
            box = self._add_box(found.bbox, name, path)
        if box is None and not polygons and not keypoints:
            raise BadLabels(f"{path}: it has neither a bbox, nor polygons, nor keypoints")
        self._instances.append(
            Instance(
                category=name,
                box=box,
                polygons=polygons,
                keypoints=keypoints,
                extra={"iscrowd": 1} if found.iscrowd else {},
            )
        )

    def _add_box(self, bbox: list[float], name: str, path: str) -> int:
        if len(bbox) != 4 or bbox[2] < 0 or bbox[3] < 0:
            raise BadLabels(f"{path}.bbox: it is [x, y, width, height], this is {bbox[:8]}")
        x, y, width, height = bbox
        self._boxes.append(Box(x_min=x, y_min=y, x_max=x + width, y_max=y + height, label=name))
        return len(self._boxes) - 1

    def _add_polygons(self, found: _Object, name: str, path: str) -> list[int]:
        if not isinstance(found.segmentation, list):
            return []  # run lengths
        places = []
        for number, flat in enumerate(found.segmentation):
            whole = isinstance(flat, list) and all(isinstance(v, int | float) for v in flat)
            if not whole or len(flat) < 6 or len(flat) % 2:
                raise BadLabels(f"{path}.segmentation[{number}]: it is [x1, y1, x2, y2, x3, y3, …]")
            points = list(zip(flat[::2], flat[1::2], strict=True))
            self._polygons.append(Polygon(points=points, label=name))
            places.append(len(self._polygons) - 1)
        return places

    def _add_keypoints(self, found: _Object, category: _Category, path: str) -> list[int | None]:
        flat = found.keypoints or []
        if len(flat) % 3:
            raise BadLabels(f"{path}.keypoints: it is [x1, y1, v1, x2, …]")
        places: list[int | None] = []
        for number in range(0, len(flat), 3):
            x, y, seen = flat[number : number + 3]
            if not seen:
                places.append(None)
                continue
            names = category.keypoints
            label = names[number // 3] if number // 3 < len(names) else None
            self._keypoints.append(Keypoint(x=x, y=y, visible=seen >= 2, label=label))
            places.append(len(self._keypoints) - 1)
        return places

    def given(self) -> Given:
        labels = Labels(boxes=self._boxes, polygons=self._polygons, keypoints=self._keypoints)
        return Given(labels=labels, instances=self._instances)


async def pieces(
    pictures: Callable[[], AsyncIterator[Picture]],
    categories: Sequence[Category],
    description: str,
) -> AsyncIterator[bytes]:
    """Yield the document of a data set; `pictures` is gone through twice, and nothing is held."""
    info = msgspec.json.encode({"description": description})
    yield b'{"info": ' + info + b', "licenses": [], "images": ['
    number = 0
    async for picture in pictures():
        number += 1
        image = {
            "id": number,
            "file_name": picture.name,
            "width": picture.width,
            "height": picture.height,
        }
        yield (b",\n" if number > 1 else b"\n") + msgspec.json.encode(image)
    yield b'],\n"annotations": ['
    numbers = {name: number for name, number, _ in _numbered(categories)}
    image_id = annotation_id = 0
    async for picture in pictures():
        image_id += 1
        for annotation in picture.annotations:
            annotation_id += 1
            row = _row(annotation, annotation_id, image_id, numbers)
            yield (b",\n" if annotation_id > 1 else b"\n") + msgspec.json.encode(row)
    listed = [_category(category, number) for _, number, category in _numbered(categories)]
    yield b'],\n"categories": ' + msgspec.json.encode(listed) + b"}\n"


def _numbered(categories: Sequence[Category]) -> Iterator[tuple[str, int, Category]]:
    """Yield names and numbers: those of the data set where it has some, else from 1."""
    taken = {category.id for category in categories}
    free = (number for number in range(1, 2 * len(categories) + 2) if number not in taken)
    for category in categories:
        yield category.name, next(free) if category.id is None else category.id, category


def _category(category: Category, number: int) -> dict[str, Any]:
    row: dict[str, Any] = {"id": number, "name": category.name}
    if category.supercategory is not None:
        row["supercategory"] = category.supercategory
    if category.keypoints:
        row |= {"keypoints": category.keypoints, "skeleton": category.skeleton}
    return row


def _row(
    annotation: Annotation, number: int, image_id: int, categories: dict[str, int]
) -> dict[str, Any]:
    x_min, y_min, x_max, y_max = annotation.box
    flat = [[round(v, 2) for point in polygon for v in point] for polygon in annotation.polygons]
    area = sum(map(_area, annotation.polygons)) or (x_max - x_min) * (y_max - y_min)
    row: dict[str, Any] = {
        "id": number,
        "image_id": image_id,
        "category_id": categories[annotation.category],
        "bbox": [round(v, 2) for v in (x_min, y_min, x_max - x_min, y_max - y_min)],
        "area": round(area, 2),
        "segmentation": flat,
        "iscrowd": annotation.extra.get("iscrowd", 0),
    }
    if annotation.keypoints:
        row["keypoints"] = [
            v for x, y, seen in annotation.keypoints for v in (round(x, 2), round(y, 2), seen)
        ]
        row["num_keypoints"] = sum(1 for *_, seen in annotation.keypoints if seen)
    return row


def _area(polygon: Sequence[tuple[float, float]]) -> float:
    turned = [*polygon[1:], *polygon[:1]]
    return abs(sum(x * v - u * y for (x, y), (u, v) in zip(polygon, turned, strict=True))) / 2


def base_name(file_name: str) -> str:
    """Return the last part of a path, as documents of other machines have them."""
    return PurePosixPath(file_name.replace("\\", "/")).name
