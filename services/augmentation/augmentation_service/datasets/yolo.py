"""YOLO: one text file per picture, one object a line, in shares of the picture.

`class x y width height` is a box (its middle), `class x1 y1 x2 y2 x3 y3 …` an outline; with
`keypoints` points per object, `class x y width height x1 y1 v1 x2 …`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from augmentation_service.datasets.annotations import Annotation, Category, Given, Instance
from augmentation_service.engine import BadLabels, Box, Keypoint, Labels, Polygon

__all__ = ["categories", "data_yaml", "read", "written"]

_MAX_CLASSES = 10_000


def read(
    text: str, names: Sequence[str] = (), *, keypoints: int = 0, path: str = "labels"
) -> Given:
    """Return the labels in a file; raises `BadLabels` with the line.

    `names`: of the classes, by number; without, a class is called by its number.
    """
    reader = _Reader(names, keypoints)
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            reader.line(line.split(), f"{path}, line {number}")
    return reader.given()


class _Reader:
    def __init__(self, names: Sequence[str], keypoints: int) -> None:
        self._names = names
        self._count = keypoints
        self._boxes: list[Box] = []
        self._polygons: list[Polygon] = []
        self._keypoints: list[Keypoint] = []
        self._instances: list[Instance] = []

    def line(self, words: list[str], path: str) -> None:
        name = self._name(words[0], path)
        try:
            shares = [float(word) for word in words[1:]]
        except ValueError as error:
            raise BadLabels(f"{path}: {error}") from error
        if not all(-1 <= share <= 2 for share in shares):  # NaN is not either
            raise BadLabels(f"{path}: coordinates are shares of the picture, 0 to 1")
        if len(shares) == 4 + 3 * self._count:
            places = self._points(shares[4:])
            self._instances.append(
                Instance(category=name, box=self._box(shares, name, path), keypoints=places)
            )
        elif len(shares) >= 6 and len(shares) % 2 == 0 and not self._count:
            points = list(zip(shares[::2], shares[1::2], strict=True))
            self._polygons.append(Polygon(points=points, label=name))
            self._instances.append(Instance(category=name, polygons=[len(self._polygons) - 1]))
        else:
            raise BadLabels(f"{path}: {len(shares)} numbers after the class are no object")

    def _name(self, word: str, path: str) -> str:
        number = int(word) if word.isascii() and word.isdecimal() and len(word) < 6 else -1
        most = len(self._names) or _MAX_CLASSES
        if not 0 <= number < most:
            raise BadLabels(f"{path}: the class {word[:20]!r} is not from 0 to {most - 1}")
        return self._names[number] if self._names else str(number)

    def _box(self, shares: list[float], name: str, path: str) -> int:
        x, y, width, height = shares[:4]
        if width < 0 or height < 0:
            raise BadLabels(f"{path}: its size is negative")
        left, top, right, bottom = (
            _edge(v) for v in (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        )
        self._boxes.append(Box(x_min=left, y_min=top, x_max=right, y_max=bottom, label=name))
        return len(self._boxes) - 1

    def _points(self, shares: list[float]) -> list[int | None]:
        places: list[int | None] = []
        for number in range(0, len(shares), 3):
            x, y, seen = shares[number : number + 3]
            if not seen:
                places.append(None)
                continue
            self._keypoints.append(Keypoint(x=x, y=y, visible=seen >= 2))
            places.append(len(self._keypoints) - 1)
        return places

    def given(self) -> Given:
        labels = Labels(boxes=self._boxes, polygons=self._polygons, keypoints=self._keypoints)
        return Given(labels=labels, instances=self._instances, relative=True)


def _edge(share: float) -> float:
    """Return a share; what misses 0 or 1 by the six decimals that are written is 0 or 1."""
    return next((edge for edge in (0.0, 1.0) if abs(share - edge) < 1e-5), share)


def categories(names: Sequence[str], texts: Iterable[str]) -> list[Category]:
    """Return the classes by number; without names, as many as the files that were read have."""
    if names:
        return [Category(name=name) for name in names]
    highest = max((_highest(text) for text in texts), default=-1)
    return [Category(name=str(number)) for number in range(highest + 1)]


def _highest(text: str) -> int:
    classes = [line.split()[0] for line in text.splitlines() if line.strip()]
    return max((int(word) for word in classes if word.isdecimal()), default=-1)


def written(
    size: tuple[int, int], names: Sequence[str], annotations: Sequence[Annotation]
) -> bytes:
    """Return the file of a picture of `size`: width, height."""
    numbers = {name: number for number, name in enumerate(names)}
    lines: list[str] = []
    for annotation in annotations:
        number = numbers[annotation.category]
        if annotation.polygons and not annotation.keypoints:
            lines += [
                f"{number} {_shares([v for point in polygon for v in point], size)}"
                for polygon in annotation.polygons
            ]
            continue
        x_min, y_min, x_max, y_max = annotation.box
        row = _shares(
            [(x_min + x_max) / 2, (y_min + y_max) / 2, x_max - x_min, y_max - y_min], size
        )
        points = [f"{_shares([x, y], size)} {seen}" for x, y, seen in annotation.keypoints]
        lines.append(" ".join([f"{number} {row}", *points]))
    return "".join(f"{line}\n" for line in lines).encode()


def _shares(values: Sequence[float], size: tuple[int, int]) -> str:
    return " ".join(f"{value / size[place % 2]:.6f}" for place, value in enumerate(values))


def data_yaml(names: Sequence[str]) -> bytes:
    """Return the description of a data set in the folders `images` and `labels`."""
    # A JSON string is a YAML string.
    rows = "".join(f"  {n}: {msgspec.json.encode(name).decode()}\n" for n, name in enumerate(names))
    return f"path: .\ntrain: images\nval: images\nnames:\n{rows}".encode()
