"""Exports and imports over HTTP."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.metadata.tests.conftest import Open, Stage
from services.metadata.tests.gallery import facts, picture
from services.metadata.tests.samples import IMAGE, image_id, uploaded

NUMBERS = range(1, 31)


@pytest.fixture(scope="module")
async def full(open_stage: Open) -> AsyncIterator[Stage]:
    async with open_stage() as stage:
        for number in NUMBERS:
            await stage.say(*facts(number))
        yield stage


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


async def test_lines_are_what_the_list_says(full: Stage):
    lines = [json.loads(line) for line in (await exported(full)).splitlines()]
    listed = (await full.get("list", limit=1000)).json()["items"]
    # Groups of duplicates are found meanwhile.
    drop = {"group", "updated_at"}
    said, shown = (
        [{k: each[k] for k in each.keys() - drop} for each in of] for of in (lines, listed)
    )
    assert said == shown
    found = (await exported(full, q="has:faces", fields="id", sort="largest")).splitlines()
    assert 0 < len(found) < len(lines)
    assert all(list(json.loads(line)) == ["id"] for line in found)


async def test_more_than_one_page(full: Stage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("metadata_service.exports.routes.PAGE", 7)
    lines = (await exported(full, fields="id")).splitlines()
    assert len(lines) == len(set(lines)) == len(NUMBERS)
    assert len((await exported(full, format="csv")).splitlines()) == len(NUMBERS) + 1


async def test_a_table(full: Stage):
    rows = list(csv.DictReader(io.StringIO(await exported(full, format="csv"))))
    assert len(rows) == len(NUMBERS)
    for row in rows:
        document = picture(int(row["id"][-12:], 16))
        assert row["tags"] == ";".join(document.tags)
        assert row["caption"] == (document.caption or "")
        assert row["favourite"] == str(document.favourite).lower()
        assert row["width"] == str(document.width)
    empty = await exported(full, format="csv", owner="nobody")
    assert empty.splitlines()[0].startswith("id,owner,")
    assert len(empty.splitlines()) == 1


async def test_parquet_is_not_written_here(full: Stage):
    answer = await full.http.get("/metadata/export", params={"format": "parquet"})
    assert (answer.status_code, answer.json()["code"]) == (501, "parquet_not_available")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("format=xml", "invalid_parameter"),
        ("format=csv&fields=id", "invalid_parameter"),
        ("q=nothing:x", "invalid_query"),
        ("sort=relevance", "invalid_parameter"),
        ("limit=3", "unknown_parameter"),
    ],
)
async def test_bad_exports(stage: Stage, query: str, code: str):
    answer = await stage.http.get(f"/metadata/export?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, code)


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
    assert (await stage.get(IMAGE)).json()["caption"] == "kept"


async def test_a_table_of_ones_own(stage: Stage):
    await stage.say(uploaded(IMAGE, tags=["old"]))
    table = f'caption,id,note\r\n"low, tide",{IMAGE},mine\r\nshort,{IMAGE}\r\n'
    done = await imported(stage, table, "text/csv")
    assert (done["changed"], done["refused"]) == (1, 1)
    shown = (await stage.get(IMAGE)).json()
    assert (shown["caption"], shown["tags"]) == ("low, tide", ["old"])


async def test_bad_imports(stage: Stage):
    for kind, body, status, code in (
        ("text/csv", "name,caption\nx,y", 400, "invalid_header"),
        ("application/pdf", "x", 415, "unsupported_media_type"),
    ):
        answer = await stage.http.post(
            "/metadata/import", content=body, headers={"content-type": kind}
        )
        assert (answer.status_code, answer.json()["code"]) == (status, code)
