"""Imports over HTTP."""

from __future__ import annotations

import json
from typing import Any

from services.metadata.tests.conftest import Stage
from services.metadata.tests.samples import IMAGE, image_id, uploaded


async def exported(stage: Stage, **params: Any) -> str:
    answer = await stage.http.get("/metadata/export", params=params)
    assert answer.status_code == 200, answer.text
    return answer.text


async def imported(stage: Stage, body: str, kind: str = "application/x-ndjson", **params: Any):
    answer = await stage.http.post(
        "/metadata/import", content=body.encode(), headers={"content-type": kind}, params=params
    )
    assert answer.status_code == 200, answer.text
    await stage.bus.settle()
    return answer.json()


async def test_lines_change_what_they_name_and_nothing_else(stage: Stage):
    one, two = image_id(1), image_id(2)
    await stage.say(uploaded(one, tags=["old"]), uploaded(two, tags=["old"]))
    body = "\n".join(
        [
            json.dumps({"id": one, "caption": "A; B\nC"}),
            "",
            json.dumps({"id": two.upper(), "tags": ["new", "two; three"], "rating": 4}),
        ]
    )
    dry = await imported(stage, body, dry_run="true")
    assert (dry["rows"], dry["changed"], dry["refused"]) == (2, 2, 0)
    assert (await stage.get(one)).json()["caption"] is None
    assert (await imported(stage, body))["changed"] == 2
    first, second = (await stage.get(one)).json(), (await stage.get(two)).json()
    assert (first["tags"], first["caption"]) == (["old"], "A; B\nC")
    assert (second["tags"], second["rating"]) == (["new", "two; three"], 4)
    again = await imported(stage, body)
    assert (again["changed"], again["unchanged"]) == (0, 2)


async def test_what_was_exported_can_be_imported(stage: Stage):
    one = image_id(1)
    await stage.say(uploaded(one, tags=["a;b", "c\\d", 'say "x", y', " käse"]))
    table = await exported(stage, format="csv")
    done = await imported(stage, table, "text/csv; charset=utf-8")
    assert (done["changed"], done["errors"]) == (1, [])
    tags = (await stage.get(one)).json()["tags"]
    assert tags == ["a;b", "c\\d", 'say "x", y', "käse"]
    lines = await exported(stage)
    assert (await imported(stage, lines))["unchanged"] == 1


async def test_rows_that_are_wrong_do_no_harm_to_the_others(stage: Stage):
    await stage.say(uploaded(IMAGE))
    body = "\n".join(
        [
            "not json",
            json.dumps({"id": "nothing"}),
            json.dumps({"id": image_id(9), "caption": "nobody"}),
            json.dumps({"id": IMAGE, "rating": 6}),
            json.dumps({"id": IMAGE, "tags": ["x" * 101]}),
            json.dumps({"id": IMAGE, "caption": "y" * 70_000}),
            json.dumps([1]),
            json.dumps({"id": IMAGE, "caption": "kept"}),
        ]
    )
    done = await imported(stage, body)
    assert (done["rows"], done["changed"], done["refused"]) == (8, 1, 7), done
    assert {error["line"]: error["code"] for error in done["errors"]} == {
        1: "invalid_row",
        2: "malformed_image_id",
        3: "unknown_image",
        4: "invalid_row",
        5: "limit_exceeded",
        6: "row_too_long",
        7: "invalid_row",
    }
    columns = {error["line"]: error["column"] for error in done["errors"]}
    assert columns == {1: None, 2: "id", 3: "id", 4: "rating", 5: "tags", 6: None, 7: None}
    assert (await stage.get(IMAGE)).json()["caption"] == "kept"


async def test_a_table_of_ones_own(stage: Stage):
    await stage.say(uploaded(IMAGE, tags=["old"]))
    table = f'\ufeffcaption;ID;note\r\n"low;\r\ntide";{IMAGE};mine\r\nshort;{IMAGE}\r\n'
    dry = await imported(stage, table, "text/csv", dry_run="true")
    done = await imported(stage, table, "text/csv")
    assert (dry | {"dry_run": False}) == done
    assert (done["changed"], done["refused"], done["ignored"]) == (1, 1, ["note"])
    assert done["errors"][0]["line"] == 4
    shown = (await stage.get(IMAGE)).json()
    assert (shown["caption"], shown["tags"]) == ("low;\ntide", ["old"])


async def test_an_export_of_one_line_breaks_and_all_comes_back(stage: Stage):
    await stage.say(uploaded(IMAGE))
    caption = 'low,\n"tide"; here'
    await imported(stage, json.dumps({"id": IMAGE, "caption": caption}))
    table = await exported(stage, format="csv")
    done = await imported(stage, table, "text/csv")
    assert (done["unchanged"], done["ignored"], done["errors"]) == (1, [], [])


async def test_bad_imports(stage: Stage):
    for kind, body, status, code in (
        ("text/csv", "name,caption\nx,y", 400, "invalid_header"),
        ("application/pdf", "x", 415, "unsupported_media_type"),
        ("text/csv; charset=ebcdic", "x", 415, "unsupported_charset"),
        ("text/csv", "", 400, "invalid_header"),
    ):
        answer = await stage.http.post(
            "/metadata/import", content=body, headers={"content-type": kind}
        )
        assert (answer.status_code, answer.json()["code"]) == (status, code)
