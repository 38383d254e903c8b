from __future__ import annotations

import collections
from pathlib import Path

import numpy as np
from imagesystem.events import Kind
from inference_service.analysis import SCALE, analyse_picture
from inference_service.analysis.kind import EVIDENCE, NAMES
from inference_service.decoding import Picture, Pixels, decode

from services.inference.training.specimens import specimens

DATA = Path(__file__).parents[3] / "tests" / "data"
#: Well below what docs/explanation/analysis.md reports, above what chance or a broken rule gives.
FLOOR = 0.85
#: A set that neither the weights nor the report have seen.
COUNT, SEED = 42, 3


def kind_of(pixels: Pixels) -> Kind:
    picture = Picture(pixels=pixels, width=pixels.shape[1], height=pixels.shape[0])
    return analyse_picture(picture.reduced(SCALE)).kind


def test_the_right_kind_is_told_for_most_specimens_of_each() -> None:
    right: collections.Counter[str] = collections.Counter()
    for kind, _, pixels in specimens(COUNT, SEED):
        right[kind] += kind_of(pixels).name == kind
    assert {kind: right[kind] / COUNT >= FLOOR for kind in NAMES} == dict.fromkeys(NAMES, True)


def test_the_sample_photographs_are_photos() -> None:
    for path in sorted(p for p in DATA.iterdir() if p.suffix in (".png", ".jpg")):
        picture = decode(path.read_bytes(), max_pixels=10**8, side=SCALE)
        assert analyse_picture(picture).kind.name == "photo", path.name


def test_the_evidence_is_told() -> None:
    kind = kind_of(np.full((20, 30, 3), 255, np.uint8))
    assert list(kind.evidence) == list(EVIDENCE)
    assert kind.evidence["equal_neighbours"] == 1
    assert 1 / 3 <= kind.confidence <= 1
