"""Pascal VOC: one XML file per picture, with boxes in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from augmentation_service.datasets.annotations import Annotation, Given, Instance
from augmentation_service.engine import BadLabels, Box, Labels

__all__ = ["read", "written"]

_MAX_BYTES = 4 * 1024 * 1024
_FLAGS = ("difficult", "truncated", "occluded")


def read(text: str, path: str = "annotation") -> Given:
    """Return the labels in an annotation; raises `BadLabels` with the place."""
    # Nothing that an annotation needs declares anything; entities are how XML is made to explode.
    if len(text) > _MAX_BYTES or "<!" in text.replace("<!--", ""):
        raise BadLabels(f"{path}: it is too long, or has a document type")
    try:
        root = ET.fromstring(text)  # noqa: S314  has no document type
    except ET.ParseError as error:
        raise BadLabels(f"{path}: it is no XML: {error}") from error
    boxes: list[Box] = []
    instances: list[Instance] = []
    for number, found in enumerate(root.iter("object")):
        where = f"{path}.object[{number}]"
        name = (found.findtext("name") or "").strip()
        if not name or len(name) > 256:
            raise BadLabels(f"{where}: a name of 1 to 256 characters is missing")
        sides = [_side(found, side, where) for side in ("xmin", "ymin", "xmax", "ymax")]
        x_min, y_min, x_max, y_max = sides
        if not (x_min <= x_max and y_min <= y_max):
            raise BadLabels(f"{where}.bndbox: its size is negative")
        extra = {flag: 1 for flag in _FLAGS if (found.findtext(flag) or "0").strip() == "1"}
        instances.append(Instance(category=name, box=len(boxes), extra=extra))
        boxes.append(Box(x_min=x_min, y_min=y_min, x_max=x_max, y_max=y_max, label=name))
    return Given(labels=Labels(boxes=boxes), instances=instances)


def _side(found: ET.Element, side: str, where: str) -> float:
    text = found.findtext(f"bndbox/{side}") or ""
    try:
        value = float(text)
    except ValueError as error:
        raise BadLabels(f"{where}.bndbox.{side}: {text[:40]!r} is no number") from error
    if not abs(value) <= 1e6:
        raise BadLabels(f"{where}.bndbox.{side}: {text[:40]!r} is not within a million pixels")
    return value


def written(name: str, size: tuple[int, int, int], annotations: Sequence[Annotation]) -> bytes:
    """Return the annotation of a picture of `size`: width, height, channels."""
    root = ET.Element("annotation")
    ET.SubElement(root, "filename").text = name
    sizes = ET.SubElement(root, "size")
    for tag, value in zip(("width", "height", "depth"), size, strict=True):
        ET.SubElement(sizes, tag).text = str(value)
    for annotation in annotations:
        found = ET.SubElement(root, "object")
        ET.SubElement(found, "name").text = annotation.category
        for flag in _FLAGS:
            if flag in annotation.extra or flag == "difficult":
                ET.SubElement(found, flag).text = str(annotation.extra.get(flag, 0))
        box = ET.SubElement(found, "bndbox")
        for tag, side in zip(("xmin", "ymin", "xmax", "ymax"), annotation.box, strict=True):
            ET.SubElement(box, tag).text = str(round(side, 2)).removesuffix(".0")
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8")
    return text + b"\n"
