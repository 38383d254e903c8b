from __future__ import annotations

import json
from typing import Any

import pytest
from metadata_service.reruns.search import is_older

from services.metadata.tests.conftest import Stage
from services.metadata.tests.samples import (
    deleted,
    image_id,
    inferred,
    uploaded,
)


async def asked_for(stage: Stage, **body: Any) -> tuple[list[str], dict[str, Any]]:
    """Return the ids of the images that are asked for, and the last counts."""
    answer = await stage.http.post("/metadata/reruns", json={"task": "analysis", **body})
    assert answer.status_code == 200, answer.text
    prefix = "commands.v1.infer.analysis."
    found = [name.removeprefix(prefix) for name in stage.bus.log if name.startswith(prefix)]
    return sorted(found), json.loads(answer.text.splitlines()[-1])


@pytest.fixture
async def images(stage: Stage) -> list[str]:
    """Four images: without an answer, with version 1, with version 2, with one of a life ago."""
    names = [image_id(number) for number in range(1, 6)]
    await stage.say(*(uploaded(name) for name in names[:3]))
    await stage.say(inferred(names[1], version="1"), inferred(names[2], version="2"))
    await stage.say(inferred(names[3], version="2"), uploaded(names[3]))
    await stage.say(uploaded(names[4]), deleted(names[4]))
    await stage.bus.forget(f"images.v1.{names[4]}.uploaded")
    return names


async def test_what_is_missing(stage: Stage, images: list[str]):
    asked, counts = await asked_for(stage, missing=True)
    assert asked == [images[0], images[3]]
    assert (counts["seen"], counts["total"]) == (4, 4)
    assert (counts["absent"], counts["current"], counts["asked"]) == (2, 2, 2)
    assert counts["ended"] is True


async def test_what_is_older_than_a_version(stage: Stage, images: list[str]):
    asked, counts = await asked_for(stage, older_than="2")
    assert asked == [images[1]]
    assert (counts["absent"], counts["outdated"], counts["asked"]) == (2, 1, 1)


async def test_what_another_model_has_answered(stage: Stage, images: list[str]):
    answer = await stage.http.get(f"/metadata/images/{images[1]}")
    model = answer.json()["inferred"]["analysis"]["model"]
    asked, counts = await asked_for(stage, not_by=f"{model} 2", dry_run=True)
    assert (counts["outdated"], counts["current"]) == (1, 1)
    asked, counts = await asked_for(stage, not_by=model)
    assert (asked, counts["current"]) == ([], 2)
    asked, _ = await asked_for(stage, not_by="another")
    assert asked == sorted(images[1:3])


async def test_both(stage: Stage, images: list[str]):
    asked, _ = await asked_for(stage, missing=True, older_than="2")
    assert asked == sorted([images[0], images[1], images[3]])


async def test_twice_asks_once(stage: Stage, images: list[str]):
    asked, _ = await asked_for(stage, missing=True)
    again, counts = await asked_for(stage, missing=True)
    assert again == asked
    assert (counts["asked"], counts["queued"]) == (0, 2)


async def test_a_dry_run_asks_nobody(stage: Stage, images: list[str]):
    asked, counts = await asked_for(stage, missing=True, dry_run=True)
    assert asked == []
    assert counts["asked"] == 2


async def test_without_nats_the_answer_says_so(stage: Stage):
    stage.bus.down = True
    _, counts = await asked_for(stage, missing=True)
    stage.bus.down = False
    assert counts["code"] == "unavailable"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"task": "dreams", "missing": True}, "unknown_task"),
        ({"task": "analysis"}, "nothing_wanted"),
        ({"task": "analysis", "older_than": ""}, "invalid_request"),
        ({"task": "analysis", "everything": True}, "invalid_request"),
    ],
)
async def test_what_cannot_be_asked(stage: Stage, body: dict[str, Any], code: str):
    answer = await stage.http.post("/metadata/reruns", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    ("version", "than", "older"),
    [
        ("1", "2", True),
        ("2", "2", False),
        ("9", "10", True),
        ("1.9.3", "1.10", True),
        ("rapidocr-3.4.2+1", "rapidocr-3.5.0+1", True),
        ("rapidocr-3.4.2+1", "rapidocr-3.4.2+2", True),
        ("rapidocr-3.5.0+1", "rapidocr-3.4.2+1", False),
        ("1", "1.1", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, than: str, older: bool):
    assert is_older(version, than) is older
