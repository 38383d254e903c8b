"""The rules behind labels: a task's answer in, labels with their evidence out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from imagesystem.events import Analysis, Faces, Label, Objects, Text

from inference_service.confidence import sureness

__all__ = ["RULES"]

#: Below and above which brightness (0-1) most people call a picture dark or bright; the step
#: from there to almost certain.
DARK, BRIGHT, BRIGHTNESS_SPREAD = 0.25, 0.75, 0.04
#: Contrast below which a picture is flat; saturation below which it is black and white, and
#: above which it is colourful.
FLAT, FLAT_SPREAD = 0.08, 0.015
GREY, GREY_SPREAD = 0.03, 0.008
COLOURFUL, COLOURFUL_SPREAD = 0.5, 0.06
#: Sharpness (variance of the Laplacian) below which a photo is blurry, in natural logarithms.
BLURRY, BLURRY_SPREAD = math.log(20.0), 0.6
#: The share of the picture from which on a colour is worth a word.
COLOUR_SHARE, COLOUR_SPREAD = 0.1, 0.03
#: What found objects say about the whole picture, by the beginning of their label.
SHOWN = {
    "person": "has people",
    "cat face": "has cat",
    "number plate": "has number plate",
    "qr code": "has code",
    "bar code": "has code",
}


def _of_analysis(found: Analysis) -> Iterator[Label]:
    yield _label(found.kind.name, found.kind.confidence, **{"analysis.kind": found.kind.name})
    yield _label(found.orientation, 1.0, width=found.width, height=found.height)
    brightness = {"analysis.brightness": found.brightness}
    yield _label("dark", sureness(-found.brightness, -DARK, BRIGHTNESS_SPREAD), **brightness)
    yield _label("bright", sureness(found.brightness, BRIGHT, BRIGHTNESS_SPREAD), **brightness)
    contrast = {"analysis.contrast": found.contrast}
    yield _label("low contrast", sureness(-found.contrast, -FLAT, FLAT_SPREAD), **contrast)
    saturation = {"analysis.saturation": found.saturation}
    yield _label("black and white", sureness(-found.saturation, -GREY, GREY_SPREAD), **saturation)
    yield _label("colourful", sureness(found.saturation, COLOURFUL, COLOURFUL_SPREAD), **saturation)
    if found.kind.name == "photo":
        detail = math.log(max(found.sharpness, 1e-3))
        yield _label(
            "blurry",
            sureness(-detail, -BLURRY, BLURRY_SPREAD),
            **{"analysis.sharpness": found.sharpness},
        )
    shares: dict[str, float] = {}
    for colour in found.colours:
        shares[colour.name] = shares.get(colour.name, 0.0) + colour.share
    for name, share in shares.items():
        yield _label(
            name,
            sureness(share, COLOUR_SHARE, COLOUR_SPREAD),
            **{"analysis.colour_share": round(share, 4)},
        )


def _of_text(found: Text) -> Iterator[Label]:
    if found.lines:
        surest = max(line.confidence for line in found.lines)
        characters = sum(len(line.text) for line in found.lines)
        yield _label(
            "has text", surest, **{"text.lines": len(found.lines), "text.characters": characters}
        )


def _of_faces(found: Faces) -> Iterator[Label]:
    if found.faces:
        surest = max(face.confidence for face in found.faces)
        counted = {"faces.count": len(found.faces)}
        yield _label("has faces", surest, **counted)
        yield _label("has people", surest, **counted)


def _of_objects(found: Objects) -> Iterator[Label]:
    for thing in found.objects:
        for beginning, name in SHOWN.items():
            if thing.label.startswith(beginning):
                yield _label(name, thing.confidence, **{"objects.label": thing.label})


def _label(name: str, confidence: float, **evidence: float | str) -> Label:
    return Label(name=name, confidence=round(confidence, 4), source="derived", evidence=evidence)


#: The task that each rule reads, and the rule.
RULES: tuple[tuple[str, Callable[[Any], Iterator[Label]]], ...] = (
    ("analysis", _of_analysis),
    ("text", _of_text),
    ("faces", _of_faces),
    ("objects", _of_objects),
)
