from __future__ import annotations

import numpy as np
import pytest
from image_service.evidence import NOTHING, Evidence, gather
from image_service.parameters import Subject
from image_service.redaction import STYLES
from imagesystem import ids
from imagesystem.bus.memory import MemoryBus
from imagesystem.errors import Rejected
from imagesystem.events import FacesInferred, Failed, Planned, Uploaded
from imagesystem.events.results import Box, Face, Faces, Rectangle
from PIL import Image

from services.image.tests.samples import gradient, made, recipe_of, saved, shown

ID = ids.image_id(b"redacted")


def noise(width: int = 120, height: int = 80) -> Image.Image:
    values = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def face(left: float, top: float, width: float, height: float) -> Evidence:
    return Evidence(
        ready=True, faces=(Subject(left, top, width, height, 1.0),), sequences={"faces": 3}
    )


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_what_was_in_the_box_is_gone_and_the_rest_is_there(style, form):
    picture = noise()
    source = saved(picture, form, **({"quality": 100, "subsampling": 0} if form == "JPEG" else {}))
    query = f"redact=40,20,40,40&redact_with={style}&format=png"
    before = np.asarray(shown(source, "format=png").convert("RGB"), float)
    after = np.asarray(shown(source, query).convert("RGB"), float)
    inside = (slice(20, 60), slice(40, 80))
    # of noise, nothing but means is left: it no longer goes up and down with what was there
    if style == "fill":
        assert after[inside].max() == 0
    else:
        assert abs(np.corrcoef(before[inside].ravel(), after[inside].ravel())[0, 1]) < 0.35
    assert len(np.unique(after[inside].reshape(-1, 3), axis=0)) < 0.9 * 1600
    after[inside] = before[inside]
    assert np.abs(before - after).max() == 0


@pytest.mark.parametrize("style", STYLES)
def test_two_pictures_that_differ_in_detail_alone_become_one(style):
    """Irreversible: what differs is not in the answer, so nobody can compute it back."""
    one = Image.new("RGB", (96, 96), (128, 128, 128))
    other = one.copy()
    checks = np.indices((48, 48)).sum(0) % 2 * 60
    pattern = np.stack([98 + checks] * 3, -1).astype(np.uint8)
    one.paste(Image.fromarray(pattern), (24, 24))
    other.paste(Image.fromarray(pattern[::-1, ::-1] * 0 + 128), (24, 24))
    query = f"redact=24,24,48,48&redact_with={style}"
    found = [np.asarray(shown(each, query).convert("RGB"), int) for each in (one, other)]
    assert np.abs(found[0] - found[1]).max() <= 1


@pytest.mark.parametrize("side", [1, 2, 3, 5, 9, 40])
def test_the_coarseness_grows_with_the_box(side):
    values = np.asarray(
        shown(noise(), f"redact=10,10,{side},{side}&redact_with=pixelate").convert("RGB")
    )
    cells = {tuple(colour) for colour in values[10 : 10 + side, 10 : 10 + side].reshape(-1, 3)}
    assert len(cells) <= min(36, max(1, (side // 4)) ** 2)


@pytest.mark.parametrize("query", ["w=60", "w=30&h=30&fit=cover", "crop=0,0,60,80", "rotate=17"])
def test_redaction_comes_first(query):
    """Whatever else is asked for shows what is left, also at a fraction of the size."""
    source = saved(noise(), "JPEG", quality=95)
    black = shown(source, f"{query}&redact=0,0,1.0,1.0&redact_with=fill&format=png")
    assert np.asarray(black.convert("RGB")).max() == 0


def test_faces_are_taken_with_a_margin():
    picture = shown(gradient(), "redact=faces&redact_with=fill", face(0.5, 0.5, 0.25, 0.25))
    black = np.asarray(picture.convert("RGB")).max(2) == 0
    assert black[32:48, 48:72].all()
    assert black[29, 44]
    assert not black[20, 40]


def test_a_face_at_the_edge():
    picture = shown(gradient(), "redact=faces&redact_with=fill", face(0.999, 0.999, 0.001, 0.001))
    assert picture.size == (96, 64)


def test_no_faces_leave_the_picture_and_name_the_fact():
    nobody = Evidence(ready=True, faces=(), sequences={"faces": 9})
    recipe = recipe_of(saved(gradient()), "redact=faces", evidence=nobody)
    assert (recipe.redaction, recipe.evidence) == (None, {"faces": 9})


def test_an_unknown_picture_is_refused_and_never_shown():
    with pytest.raises(Rejected) as caught:
        made(gradient(), "redact=faces", NOTHING)
    assert (caught.value.status, caught.value.code) == (422, "faces_unknown")


@pytest.mark.parametrize("query", ["animate=true", "frame=1", "animate=true&format=gif"])
def test_faces_were_looked_for_in_the_first_frame_alone(query):
    with pytest.raises(Rejected) as caught:
        recipe_of(saved(gradient()), f"redact=faces&{query}", evidence=face(0, 0, 0.5, 0.5))
    assert caught.value.code == "conflicting_parameters"


async def said(*facts) -> Evidence:
    bus = MemoryBus()
    await bus.publish(
        Uploaded(
            image_id=ID,
            filename="a.png",
            media_type="image/png",
            size_bytes=1,
            width=96,
            height=64,
            frames=1,
            sha256="0" * 64,
            uploaded_at=ids.now(),
        )
    )
    for fact in facts:
        await bus.publish(fact)
    return gather(await bus.facts(ID))


def planned(*tasks: str) -> Planned:
    return Planned(image_id=ID, tasks=list(tasks), planned_at=ids.now())


def inferred(*boxes: tuple[float, float, float, float]) -> FacesInferred:
    faces = [
        Face(
            box=Box(
                x=x * 96,
                y=y * 64,
                width=w * 96,
                height=h * 64,
                relative=Rectangle(x=x, y=y, width=w, height=h),
            ),
            confidence=0.9,
        )
        for x, y, w, h in boxes
    ]
    return FacesInferred(
        image_id=ID,
        task="faces",
        model="m",
        model_version="1",
        duration_ms=1.0,
        inferred_at=ids.now(),
        result=Faces(width=96, height=64, faces=faces),
    )


def failed(stage: str) -> Failed:
    return Failed(
        image_id=ID,
        stage=stage,
        code="corrupt_pixels",
        message="no",
        attempts=1,
        failed_at=ids.now(),
    )


@pytest.mark.parametrize(
    ("facts", "status", "code"),
    [
        ((), 503, "faces_pending"),
        ((planned("faces", "analysis"),), 503, "faces_pending"),
        ((planned("analysis"),), 422, "faces_not_planned"),
        ((planned("faces"), failed("faces")), 422, "faces_failed"),
    ],
)
async def test_while_faces_are_not_known_the_answer_is_an_error(facts, status, code):
    evidence = await said(*facts)
    with pytest.raises(Rejected) as caught:
        evidence.faces_to_redact()
    assert (caught.value.status, caught.value.code) == (status, code)
    assert ("retry-after" in caught.value.headers) == (status == 503)


async def test_facts_become_evidence():
    evidence = await said(planned("faces", "analysis"), inferred((0.5, 0.25, 0.25, 0.5)))
    assert evidence.faces is not None
    assert evidence.faces[0].left == 0.5
    assert not evidence.ready
    assert evidence.used(crop=False, redaction=True) == {"faces": evidence.sequences["faces"]}
    settled = await said(planned("faces", "analysis"), inferred(), failed("analysis"))
    assert settled.ready


async def test_faces_that_are_known_stay_known_when_a_repetition_fails():
    evidence = await said(planned("faces"), inferred((0.1, 0.1, 0.1, 0.1)), failed("faces"))
    assert len(evidence.faces_to_redact()) == 1
