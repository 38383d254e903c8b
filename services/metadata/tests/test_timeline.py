from __future__ import annotations

from services.metadata.tests.conftest import Stage
from services.metadata.tests.samples import (
    IMAGE,
    annotated,
    augmented,
    deleted,
    failed,
    image_id,
    inferred,
    planned,
    uploaded,
)


async def test_every_stage_is_told_in_order(stage: Stage):
    await stage.say(
        uploaded(),
        planned(tasks=("analysis", "text")),
        inferred(version="7"),
        failed(stage="text"),
        annotated(),
        augmented(variant="v1"),
    )
    answer = await stage.get(f"{IMAGE}/timeline")
    assert answer.status_code == 200
    told = answer.json()
    assert [each["stage"] for each in told["stages"]] == [
        "uploaded",
        "planned",
        "inferred.analysis",
        "failed.text",
        "annotated",
        "augmented.v1",
    ]
    assert [each["sequence"] for each in told["stages"]] == [1, 2, 3, 4, 5, 6]
    assert told["stages"][0]["offset_s"] == 0
    offsets = [each["offset_s"] for each in told["stages"]]
    assert offsets == sorted(offsets)
    assert all(len(each["trace_id"]) == 32 for each in told["stages"])
    analysis, text = told["stages"][2], told["stages"][3]
    assert (analysis["model"], analysis["model_version"]) == ("classical", "7")
    assert (analysis["duration_ms"], analysis["attempts"]) == (12.5, 1)
    assert text["error"] == {"code": "corrupt_pixels", "message": "broken", "resolved": False}
    assert told["stages"][1]["tasks"] == ["analysis", "text"]
    assert told["next"] is None


async def test_a_failure_that_was_overcome_says_so(stage: Stage):
    await stage.say(uploaded(), failed(stage="analysis"), inferred())
    stages = (await stage.get(f"{IMAGE}/timeline")).json()["stages"]
    assert stages[1]["error"]["resolved"] is True


async def test_pages_when_there_are_many_variants(stage: Stage):
    await stage.say(uploaded(), *(augmented(variant=f"v{n}") for n in range(7)))
    seen: list[int] = []
    after = 0
    while after is not None:
        told = (await stage.get(f"{IMAGE}/timeline", after=after, limit=3)).json()
        seen += [each["sequence"] for each in told["stages"]]
        after = told["next"]
    assert seen == list(range(1, 9))


async def test_it_is_there_when_the_database_is_not(stage: Stage):
    await stage.say(uploaded(), planned())
    stage.store.down = True
    assert (await stage.get(IMAGE)).status_code == 503
    assert len((await stage.get(f"{IMAGE}/timeline")).json()["stages"]) == 2


async def test_a_life_before_the_upload_is_not_told(stage: Stage):
    await stage.say(uploaded(), annotated(), deleted())
    await stage.bus.forget(f"images.v1.{IMAGE}.deleted")
    await stage.say(uploaded(), planned())
    stages = (await stage.get(f"{IMAGE}/timeline")).json()["stages"]
    assert [each["stage"] for each in stages] == ["uploaded", "planned"]


async def test_images_that_are_not_there(stage: Stage):
    missing = await stage.get(f"{image_id(9)}/timeline")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_image")
    await stage.say(uploaded(), deleted())
    gone = await stage.get(f"{IMAGE}/timeline")
    assert (gone.status_code, gone.json()["code"]) == (410, "image_deleted")
    bad = await stage.get("nonsense/timeline")
    assert (bad.status_code, bad.json()["code"]) == (400, "malformed_image_id")
    limit = await stage.get(f"{IMAGE}/timeline", limit=0)
    assert (limit.status_code, limit.json()["code"]) == (400, "invalid_parameter")
