from __future__ import annotations

import numpy as np
import pytest
from image_service import cropping
from image_service.evidence import Evidence
from image_service.geometry import Plan
from image_service.parameters import Subject
from image_service.saliency import eye
from PIL import Image, ImageDraw

from services.image.tests.samples import (
    colour_at,
    gradient,
    psnr,
    quadrants,
    recipe_of,
    saved,
    shown,
)


def test_a_box_in_pixels_is_exactly_that():
    crop = shown(gradient(), "crop=10,20,30,25")
    assert crop.tobytes() == gradient().crop((10, 20, 40, 45)).tobytes()


def test_a_box_in_shares_is_the_same_box():
    assert (
        shown(gradient(), "crop=0.25,0.25,0.5,0.5").tobytes()
        == shown(gradient(), "crop=24,16,48,32").tobytes()
    )


@pytest.mark.parametrize(
    ("gravity", "box"),
    [
        ("northwest", (0, 0, 32, 64)),
        ("west", (0, 0, 32, 64)),
        ("centre", (32, 0, 64, 64)),
        ("east", (64, 0, 96, 64)),
        ("right", (64, 0, 96, 64)),
        ("southeast", (64, 0, 96, 64)),
        ("0.5,0.5", (32, 0, 64, 64)),
        ("0.25,0.9", (8, 0, 40, 64)),
        ("0,0", (0, 0, 32, 64)),
    ],
)
def test_gravity_says_what_stays(gravity, box):
    picture = shown(gradient(), f"w=32&h=64&fit=cover&gravity={gravity}")
    assert psnr(picture.convert("RGB"), gradient().crop(box)) > 45


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_trim_cuts_edges_of_one_colour(form):
    picture = Image.new("RGB", (100, 80), (250, 250, 250))
    picture.paste(quadrants(40, 20), (30, 50))
    options = {"quality": 95, "subsampling": 0} if form == "JPEG" else {}
    source = saved(picture, form, **options)
    trimmed = shown(source, "trim=30&format=png")
    assert abs(trimmed.width - 40) <= 2
    assert abs(trimmed.height - 20) <= 2
    assert shown(source, "trim&w=20").width == 20
    # nothing but background: there is nothing to cut it from
    assert shown(Image.new("RGB", (30, 20), "red"), "trim").size == (30, 20)


def test_trim_takes_transparent_for_empty():
    picture = Image.new("RGBA", (60, 40), (255, 0, 255, 0))
    picture.paste((0, 0, 255, 255), (10, 5, 30, 25))
    assert shown(picture, "trim").size == (20, 20)


def subject(left, top, width, height, weight=1.0) -> Evidence:
    return Evidence(
        ready=True, faces=(Subject(left, top, width, height, weight),), sequences={"faces": 7}
    )


@pytest.mark.parametrize(
    ("place", "colour"), [((0.02, 0.1, 0.1, 0.2), "red"), ((0.85, 0.7, 0.1, 0.2), "yellow")]
)
def test_smart_shows_the_face(place, colour):
    picture = shown(quadrants(400, 100), "w=50&h=50&fit=cover&gravity=smart", subject(*place))
    assert colour_at(picture, 0.2, 0.2 if colour == "red" else 0.8) == colour


@pytest.mark.parametrize("orientation", range(1, 9))
def test_faces_are_of_the_upright_picture(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = quadrants(400, 300)
    source = saved(stored, exif=exif)
    upright = shown(source, "format=png")
    wide = upright.width > upright.height
    query = "w=60&h=20&fit=cover&gravity=smart" if not wide else "w=20&h=60&fit=cover&gravity=smart"
    place = (0.05, 0.05, 0.1, 0.1)
    picture = shown(source, query, subject(*place))
    assert colour_at(picture, 0.1, 0.1) == colour_at(upright, 0.1, 0.1)


def test_smart_follows_turns():
    picture = shown(
        quadrants(400, 100),
        "rotate=90&w=50&h=50&fit=cover&gravity=smart",
        subject(0.02, 0.1, 0.1, 0.2),
    )
    # what was left is now on top
    assert colour_at(picture, 0.8, 0.3) == "red"


def test_faces_go_before_objects_and_objects_before_the_eye():
    face, thing = Subject(0.0, 0.0, 0.1, 0.1, 1.0), Subject(0.9, 0.9, 0.1, 0.1, 1.0)
    sequences = {"faces": 1, "objects": 2, "analysis": 3}
    everything = Evidence(faces=(face,), objects=(thing,), eye=(0.5, 0.5), sequences=sequences)
    nobody = Evidence(faces=(), objects=(thing,), eye=(0.5, 0.5), sequences=sequences)
    nothing = Evidence(faces=(), objects=(), eye=(0.5, 0.5), sequences=sequences)
    source, query = saved(quadrants()), "w=20&h=60&fit=cover&gravity=smart"
    found = [recipe_of(source, query, evidence=each) for each in (everything, nobody, nothing)]
    assert [each.evidence for each in found] == [{"faces": 1}, {"objects": 2}, {"analysis": 3}]
    assert [each.subjects[0].left for each in found] == [0.0, 0.9, 0.5]


def test_a_newer_fact_makes_another_recipe():
    source, query = saved(quadrants()), "w=20&h=60&fit=cover&gravity=smart"
    first = subject(0.1, 0.1, 0.1, 0.1)
    again = Evidence(ready=True, faces=first.faces, sequences={"faces": 8})
    assert recipe_of(source, query, evidence=first) != recipe_of(source, query, evidence=again)


def test_facts_have_no_say_where_nothing_is_cut():
    source = saved(quadrants())
    evidence = subject(0.1, 0.1, 0.1, 0.1)
    assert recipe_of(source, "w=20&gravity=smart", evidence=evidence) == recipe_of(source, "w=20")


def test_a_whole_face_counts_more_than_two_halves():
    plan = Plan((0, 0, 100, 100), (100, 100), (100, 100))
    whole, far = ((0.0, 0.0, 60.0, 60.0), 1.0), ((240.0, 0.0, 300.0, 60.0), 1.4)
    x, _ = cropping.best(plan, (300, 100), [whole, far])
    assert x * 300 - 50 >= 190


def test_without_facts_the_eye_decides():
    picture = Image.new("RGB", (300, 100), (120, 120, 120))
    ImageDraw.Draw(picture).ellipse((230, 30, 270, 70), fill=(250, 240, 30))
    x, y = eye(picture)
    assert x > 0.7
    assert 0.3 < y < 0.7
    crop = np.asarray(shown(picture, "w=100&h=100&fit=cover&gravity=smart").convert("RGB"), int)
    assert (crop[..., 2] < 80).mean() > 0.1


def test_a_picture_of_one_colour_has_its_eye_in_the_middle():
    assert eye(Image.new("L", (50, 50), 7)) == (0.5, 0.5)
