"""Editing what people say about a picture, over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from imagesystem.events import Annotated, Exif, Gps

from services.metadata.tests.conftest import Open, Stage
from services.metadata.tests.samples import IMAGE, annotated, deleted, image_id, planned, uploaded

PATH = f"/metadata/images/{IMAGE}"


async def patch(stage: Stage, body: Any, **headers: str) -> httpx.Response:
    return await stage.http.patch(PATH, json=body, headers={**headers})


def place(answer: httpx.Response) -> list[float]:
    position = answer.json()["position"]
    return [position["longitude"], position["latitude"]]


async def test_an_edit_is_applied_when_it_is_answered(stage: Stage):
    await stage.say(uploaded(tags=["first"]))
    answer = await patch(stage, {"tags": ["cat", " sofa ", "cat"], "caption": "A cat"})
    assert answer.status_code == 200
    assert (answer.json()["tags"], answer.json()["caption"]) == (["cat", "sofa"], "A cat")
    assert (await stage.get(IMAGE)).json() == answer.json()
    assert (await stage.get(IMAGE)).headers["etag"] == answer.headers["etag"]
    said = stage.bus.log[f"images.v1.{IMAGE}.annotated"].event
    assert isinstance(said, Annotated)
    assert (said.tags, said.caption) == (["cat", "sofa"], "A cat")


async def test_what_is_left_out_stays(stage: Stage):
    await stage.say(uploaded(tags=["first"]))
    assert (await patch(stage, {"caption": "one"})).json()["tags"] == ["first"]
    assert (await patch(stage, {"tags": []})).json()["caption"] == "one"
    cleared = (await patch(stage, {"caption": None})).json()
    assert (cleared["tags"], cleared["caption"]) == ([], None)


async def test_ratings_favourites_and_places(stage: Stage):
    camera = Exif(gps=Gps(latitude=47.0, longitude=8.0))
    await stage.say(uploaded(tags=["first"], exif=camera))
    assert place(await stage.get(IMAGE)) == [8.0, 47.0]
    body = {"rating": 4, "favourite": True, "position": {"latitude": -33.5, "longitude": 151}}
    edited = await patch(stage, body)
    assert edited.status_code == 200
    image = (await stage.get(IMAGE)).json()
    assert (image["rating"], image["favourite"], image["tags"]) == (4, True, ["first"])
    assert place(edited) == [151.0, -33.5]
    cleared = (await patch(stage, {"rating": None, "favourite": False, "position": None})).json()
    assert (cleared["rating"], cleared["favourite"]) == (None, False)
    assert place(await stage.get(IMAGE)) == [8.0, 47.0], "what the camera wrote"
    assert (await patch(stage, {"rating": 0})).json()["rating"] == 0


async def test_the_cameras_place_told_again_is_no_edit(stage: Stage):
    await stage.say(uploaded(exif=Exif(gps=Gps(latitude=47.0, longitude=8.0))))
    there = {"position": {"latitude": 47.0, "longitude": 8.0}}
    assert place(await patch(stage, there)) == [8.0, 47.0]
    assert f"images.v1.{IMAGE}.annotated" not in stage.bus.log
    assert place(await patch(stage, {"position": {"latitude": 0, "longitude": 8}})) == [8.0, 0]
    assert place(await patch(stage, there)) == [8.0, 47.0]


async def test_every_field_is_guarded(stage: Stage):
    await stage.say(uploaded())
    tag = (await stage.get(IMAGE)).headers["etag"]
    assert (await patch(stage, {"rating": 1}, **{"if-match": tag})).status_code == 200
    late = await patch(stage, {"favourite": True}, **{"if-match": tag})
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")


async def test_an_edit_that_changes_nothing_says_nothing(stage: Stage):
    await stage.say(uploaded(tags=["first"]))
    before = stage.bus.sequence
    for body in ({}, {"tags": ["first"]}, {"caption": None}, {"caption": "  "}):
        assert (await patch(stage, body)).status_code == 200
    assert stage.bus.sequence == before


async def test_a_precondition_guards_what_people_edit_and_nothing_else(stage: Stage):
    await stage.say(uploaded())
    tag = (await stage.get(IMAGE)).headers["etag"]
    await stage.say(planned())
    first = await patch(stage, {"tags": ["a"]}, **{"if-match": tag})
    assert first.status_code == 200
    late = await patch(stage, {"tags": ["b"]}, **{"if-match": tag})
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    assert (await stage.get(IMAGE)).json()["tags"] == ["a"]
    good = await patch(stage, {"tags": ["b"]}, **{"if-match": f'"9.x", {first.headers["etag"]}'})
    assert good.json()["tags"] == ["b"]
    assert (await patch(stage, {"tags": ["c"]}, **{"if-match": "*"})).status_code == 200


@pytest.mark.parametrize("value", ["abc", '"1.x', "", '"1.a" "2.b"'])
async def test_a_malformed_precondition(stage: Stage, value: str):
    await stage.say(uploaded())
    answer = await patch(stage, {"tags": []}, **{"if-match": value})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_if_match")


async def test_edits_at_the_same_time_are_all_there(stage: Stage):
    """One sets the caption, one the tags: neither undoes the other."""
    await stage.say(uploaded())
    for number in range(10):
        answers = await asyncio.gather(
            patch(stage, {"tags": [f"t{number}"]}), patch(stage, {"caption": f"c{number}"})
        )
        assert [answer.status_code for answer in answers] == [200, 200]
        image = (await stage.get(IMAGE)).json()
        assert (image["tags"], image["caption"]) == ([f"t{number}"], f"c{number}")


async def test_an_edit_is_made_on_the_log_not_on_a_late_read_model(open_stage: Open):
    async with open_stage(apply_wait_s=0.05) as stage:
        await stage.say(uploaded())
        stage.store.down = True
        await stage.bus.publish(annotated(tags=("theirs",), caption="theirs"), expected=0)
        answer = await patch(stage, {"tags": ["mine"]})
        assert answer.status_code == 202
        assert (answer.json()["tags"], answer.json()["caption"]) == (["mine"], "theirs")
        stage.store.down = False
        await stage.bus.settle()
        image = await stage.get(IMAGE)
        assert (image.json()["tags"], image.json()["caption"]) == (["mine"], "theirs")
        same = image.headers["etag"].partition(".")[0]
        assert same == answer.headers["etag"].partition(".")[0]


async def test_pictures_that_are_not_there(stage: Stage):
    missing = await stage.http.patch(f"/metadata/images/{image_id(7)}", json={"tags": []})
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_image")
    malformed = await stage.http.patch("/metadata/images/7", json={"tags": []})
    assert (malformed.status_code, malformed.json()["code"]) == (400, "malformed_image_id")
    await stage.say(uploaded(), deleted())
    gone = await patch(stage, {"tags": []})
    assert (gone.status_code, gone.json()["code"]) == (410, "image_deleted")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_request"),
        (b"not json", "invalid_request"),
        (b'{"tags": ["\xff"]}', "invalid_request"),
        (b'{"tags": ["\\ud800"]}', "invalid_request"),
        (b"[]", "invalid_request"),
        (b"null", "invalid_request"),
        (b'{"tags": "cat"}', "invalid_request"),
        (b'{"tags": null}', "invalid_request"),
        (b'{"tags": [1]}', "invalid_request"),
        (b'{"caption": 1}', "invalid_request"),
        (b'{"tagz": []}', "invalid_request"),
        (b'{"rating": 6}', "invalid_request"),
        (b'{"rating": -1}', "invalid_request"),
        (b'{"rating": 2.5}', "invalid_request"),
        (b'{"favourite": null}', "invalid_request"),
        (b'{"position": {"latitude": 90.1, "longitude": 0}}', "invalid_request"),
        (b'{"position": {"latitude": 0, "longitude": 1e999}}', "invalid_request"),
        (b'{"position": {"latitude": 0}}', "invalid_request"),
        (b'{"position": {"latitude": 0, "longitude": 0, "altitude": 5}}', "invalid_request"),
        (b'{"tags": [""]}', "invalid_tag"),
        (b'{"tags": ["a\\u0000b"]}', "invalid_tag"),
        (b'{"tags": ["a\\nb"]}', "invalid_tag"),
        (b'{"caption": "\\u0000"}', "invalid_caption"),
        (b'{"tags": ["' + b"x" * 101 + b'"]}', "limit_exceeded"),
        (b'{"caption": "' + b"x" * 10_001 + b'"}', "limit_exceeded"),
        (b'{"tags": [' + b",".join(b'"%d"' % n for n in range(101)) + b"]}", "limit_exceeded"),
        (b'{"tags": ' + b"[" * 100_000, "invalid_request"),
    ],
)
async def test_bad_edits(stage: Stage, body: bytes, code: str):
    await stage.say(uploaded(tags=["kept"]))
    answer = await stage.http.patch(
        PATH, content=body, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    if code == "limit_exceeded":
        assert answer.json()["limit"].startswith("MAX_")
        assert answer.json()["actual"] == answer.json()["allowed"] + 1
    assert (await stage.get(IMAGE)).json()["tags"] == ["kept"]


async def test_a_body_that_is_too_large(stage: Stage):
    await stage.say(uploaded())
    answer = await patch(stage, {"caption": "x" * 2_000_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_parameters_have_no_place_in_an_edit(stage: Stage):
    await stage.say(uploaded())
    answer = await stage.http.patch(f"{PATH}?tags=x", json={})
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_parameter")
    assert (await stage.http.put(PATH, json={})).status_code == 405


async def test_an_edit_that_raced_a_deletion_is_not_in_the_next_life(stage: Stage):
    await stage.say(uploaded(tags=["old"]), deleted())
    await stage.bus.publish(annotated(tags=("ghost",), caption="ghost"), expected=0)
    await stage.bus.forget(f"images.v1.{IMAGE}.deleted")
    await stage.bus.forget(f"images.v1.{IMAGE}.uploaded")
    await stage.say(uploaded(tags=["new"]))
    image = await stage.get(IMAGE)
    assert (image.json()["tags"], image.json()["caption"]) == (["new"], None)
    answer = await patch(stage, {"caption": "mine"}, **{"if-match": image.headers["etag"]})
    assert answer.status_code == 200
    assert (answer.json()["tags"], answer.json()["caption"]) == (["new"], "mine")
