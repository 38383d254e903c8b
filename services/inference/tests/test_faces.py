from __future__ import annotations

import pytest
from inference_service.faces import SIDE, find_faces
from inference_service.geometry import overlap
from PIL import Image, ImageOps

from services.inference.tests.specimens import DATA, picture, sample

#: Marked by hand, in pixels: left, top, width, height; hairline to chin, ear to ear.
ASTRONAUT = (178.0, 78.0, 95.0, 102.0)
CAMERAMAN = (182.0, 92.0, 84.0, 104.0)
#: The centres of her eyes, marked by hand.
EYES = {"left_eye": (204, 101), "right_eye": (248, 104)}


@pytest.mark.parametrize("size", [256, 512, 1024])
def test_a_face_is_found_where_it_is(size: int) -> None:
    image = Image.open(DATA / "astronaut.png").resize((size, size))
    (face,) = find_faces(picture(image).reduced(SIDE)).faces
    scale = 512 / size
    box = (face.box.x, face.box.y, face.box.width, face.box.height)
    assert overlap(tuple(value * scale for value in box), ASTRONAUT) >= 0.5  # type: ignore[arg-type]
    assert face.pose == "frontal"
    assert face.box.relative.x == pytest.approx(face.box.x / size, abs=1e-3)
    assert 0.5 <= face.confidence <= 1


def test_its_eyes_are_landmarks() -> None:
    (face,) = find_faces(sample("astronaut.png").reduced(SIDE)).faces
    assert set(face.landmarks) == set(EYES)
    for name, (x, y) in EYES.items():
        assert abs(face.landmarks[name].x - x) < 8
        assert abs(face.landmarks[name].y - y) < 8


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_profile_is_found_whichever_way_it_looks(mirrored: bool) -> None:
    image = Image.open(DATA / "camera.png").convert("RGB")
    (face,) = find_faces(picture(ImageOps.mirror(image) if mirrored else image).reduced(SIDE)).faces
    x = 512 - face.box.x - face.box.width if mirrored else face.box.x
    assert overlap((x, face.box.y, face.box.width, face.box.height), CAMERAMAN) >= 0.5
    assert face.pose == "profile"


@pytest.mark.parametrize(
    "name", ["coffee.png", "rocket.jpg", "hubble_deep_field.jpg", "chelsea.png"]
)
def test_there_are_no_faces_where_there_are_none(name: str) -> None:
    assert find_faces(sample(name).reduced(SIDE)).faces == []


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (64, 64)])
def test_the_smallest_pictures_have_none(size: tuple[int, int]) -> None:
    assert find_faces(picture(Image.new("RGB", size, "white"))).faces == []
