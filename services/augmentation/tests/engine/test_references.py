"""Every operation makes of a small picture what it made before, here and on other machines."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from augmentation_service.engine import REGISTRY, pixel_digest

_SPEC = importlib.util.spec_from_file_location(
    "references", Path(__file__).with_name("references.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
references = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(references)

EXACT = sorted(name for name, operation in REGISTRY.items() if operation.exact)
INEXACT = sorted(name for name, operation in REGISTRY.items() if not operation.exact)
HOW = "run services/augmentation/tests/engine/references.py"


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_operation_has_a_reference_of_its_version(name: str) -> None:
    path = references.FOLDER / f"{name}.json"
    assert path.exists(), HOW
    assert references.kept(name)["version"] == REGISTRY[name].version, f"delete its files, {HOW}"


def test_there_are_no_others() -> None:
    assert {path.name.split(".")[0] for path in references.FOLDER.iterdir()} == set(REGISTRY)


@pytest.mark.parametrize("form", references.FORMS)
@pytest.mark.parametrize("name", EXACT)
def test_exact_operations_make_the_same_pixels_on_every_machine(name: str, form: str) -> None:
    made = references.made(name, form)
    assert pixel_digest(made) == references.kept(name)["pixels"][form]


@pytest.mark.parametrize("form", references.FORMS)
@pytest.mark.parametrize("name", INEXACT)
def test_the_others_stay_within_their_tolerance(name: str, form: str) -> None:
    made, kept = references.made(name, form), references.kept_picture(name, form)
    assert made.shape == kept.shape
    difference = np.abs(made.astype(int) - kept)
    assert difference.mean() < 0.5
    assert np.mean(difference > 2) < 0.005, "a few values at hard edges"


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_examples_do_something(name: str) -> None:
    picture = references.picture(3)
    made = references.made(name, "colour")
    assert made.shape != picture.shape or not np.array_equal(made, picture)
