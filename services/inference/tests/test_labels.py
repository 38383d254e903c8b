from __future__ import annotations

from collections.abc import Mapping

import pytest
from imagesystem.events import Labels
from inference_service.faces import find_faces
from inference_service.labels import derive_labels
from inference_service.models import BUILT_IN, Result
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from services.inference.tests.specimens import DATA, picture

TASKS = ("analysis", "objects", "faces")


def found_in(image: Image.Image, *tasks: str) -> dict[str, Result]:
    whole = picture(image)
    models = [BUILT_IN[task] for task in tasks]
    return {model.task: model.run(whole.reduced(model.side), {}) for model in models}


def names(labels: Labels) -> set[str]:
    return {label.name for label in labels.labels}


def labels_of(image: Image.Image, *tasks: str) -> Labels:
    return derive_labels(found_in(image, *(tasks or ("analysis",))))


def photo(name: str = "astronaut.png") -> Image.Image:
    return Image.open(DATA / name).convert("RGB")


def test_a_portrait_is_a_photo_with_a_face_in_it() -> None:
    labels = labels_of(photo(), *TASKS)
    assert {"photo", "square", "has faces", "has people", "orangered"} <= names(labels)
    assert not {"dark", "bright", "blurry", "black and white", "has text"} & names(labels)
    assert labels.missing == ["text"]


def test_a_cat_is_no_person() -> None:
    found = names(labels_of(photo("chelsea.png"), *TASKS))
    assert "has cat" in found
    assert "has people" not in found


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda image: image.filter(ImageFilter.GaussianBlur(4)), "blurry"),
        (lambda image: ImageEnhance.Brightness(image).enhance(0.3), "dark"),
        (lambda image: Image.blend(image, Image.new("RGB", image.size, "white"), 0.7), "bright"),
        (lambda image: ImageOps.grayscale(image).convert("RGB"), "black and white"),
        (lambda image: ImageEnhance.Contrast(image).enhance(0.2), "low contrast"),
        (lambda image: ImageEnhance.Color(image).enhance(2.5), "colourful"),
    ],
)
def test_how_a_photo_is_taken_is_labelled(change: object, name: str) -> None:
    assert callable(change)
    image = photo()
    assert name not in names(labels_of(image))
    assert name in names(labels_of(change(image)))


def test_every_label_names_its_evidence() -> None:
    labels = labels_of(photo(), *TASKS).labels
    assert all(label.evidence for label in labels)
    assert {label.source for label in labels} == {"derived"}
    assert [label.confidence for label in labels] == sorted(
        (label.confidence for label in labels), reverse=True
    )
    evidence = {label.name: label.evidence for label in labels}
    assert evidence["has faces"] == {"faces.count": 1}


def test_nothing_follows_from_nothing() -> None:
    labels = derive_labels({})
    assert (labels.labels, labels.missing) == ([], ["analysis", "objects", "faces", "text"])


def test_what_one_task_found_is_enough_for_its_labels() -> None:
    found: Mapping[str, Result] = {"faces": find_faces(picture(photo()).reduced(480))}
    assert names(derive_labels(found)) == {"has faces", "has people"}
