"""Exports over HTTP."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from imagesystem.errors import Rejected
from metadata_service.exports.parquet import ParquetDied, Press
from metadata_service.exports.parquet_process import GROUP_ROWS
from metadata_service.views import LISTED, image_view, plain

from services.metadata.tests.conftest import Open, Stage
from services.metadata.tests.gallery import facts, picture
from services.metadata.tests.samples import image_id, uploaded

NUMBERS = range(1, 31)
#: pyarrow is not imported here, beside usearch: see `exports.parquet_process`.
READ_PARQUET = """
import json, sys
import pyarrow.parquet as pq
for row in pq.read_table(sys.argv[1], columns=sys.argv[2:] or None).to_pylist():
    print(json.dumps(row, default=lambda moment: moment.isoformat()))
"""


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
    answer = await full.http.get("/metadata/export", params={"format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="images.csv"'
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


def read(path: Path, *columns: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-c", READ_PARQUET, str(path), *columns]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in shown.stdout.splitlines()]


async def parquet(stage: Stage, folder: Path, **params: Any) -> list[dict[str, Any]]:
    answer = await stage.http.get("/metadata/export", params={"format": "parquet", **params})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    path = folder / "images.parquet"
    await asyncio.to_thread(path.write_bytes, answer.content)
    return await asyncio.to_thread(read, path)


async def test_parquet_says_what_the_lines_say(
    full: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("metadata_service.exports.routes.PAGE", 7)
    rows = await parquet(full, tmp_path)
    lines = [json.loads(line) for line in (await exported(full)).splitlines()]
    assert [row["id"] for row in rows] == [line["id"] for line in lines]
    same = ("owner", "status", "filename", "size_bytes", "width", "tags", "caption", "rating")
    for row, line in zip(rows, lines, strict=True):
        for name in (*same, "favourite", "camera", "kind", "colours", "faces"):
            assert row[name] == line[name], name
        for name in ("uploaded_at", "taken_at"):
            one, two = row[name], line[name]
            assert one == two or datetime.fromisoformat(one) == datetime.fromisoformat(two)
        for name in ("labels", "objects"):
            assert row[name] == [each["name"] for each in line[name]]
        place = line["position"] or {"latitude": None, "longitude": None}
        assert (row["latitude"], row["longitude"]) == (place["latitude"], place["longitude"])


async def test_parquet_of_nothing_and_of_anything(stage: Stage, tmp_path: Path):
    assert await parquet(stage, tmp_path) == []
    name = image_id(1)
    await stage.say(uploaded(name, filename="\u202e\U0001f408 'käse';\\.jpg", tags=["a;b", "日本"]))
    (row,) = await parquet(stage, tmp_path, q="käse")
    assert (row["filename"], row["tags"]) == ("\u202e\U0001f408 'käse';\\.jpg", ["a;b", "日本"])


async def test_there_are_only_so_many_parquet_files_at_once(open_stage: Open):
    async with open_stage(parquet_exports_max=0) as stage:
        answer = await stage.http.get("/metadata/export", params={"format": "parquet"})
        assert (answer.status_code, answer.json()["limit"]) == (503, "PARQUET_EXPORTS_MAX")
        assert int(answer.headers["retry-after"]) > 0
        assert await exported(stage) == ""
    press = Press(1)
    async with press.open():
        with pytest.raises(Rejected):
            async with press.open():
                pass
    async with press.open() as file:
        assert await file.close()


def writers() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it has ended meanwhile
            if any("parquet_process" in word for word in child.cmdline()):
                found.append(child)
    return found


async def test_a_reader_who_leaves_half_way_leaves_no_process(
    full: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("metadata_service.exports.routes.PAGE", 7)
    begun = asyncio.Event()
    said: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]
    seen: list[psutil.Process] = []

    async def receive() -> dict[str, Any]:
        if said:
            return said.pop()
        await begun.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            seen.extend(writers())
            begun.set()
            await asyncio.Event().wait()  # nobody takes it

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/metadata/export",
        "raw_path": b"/metadata/export",
        "query_string": b"format=parquet",
        "root_path": "",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
        "extensions": {},
    }
    app: Any = full.http._transport
    async with asyncio.timeout(60):
        await app.app(scope, receive, send)
    assert len(seen) == 1
    assert not seen[0].is_running()
    assert not writers()


async def test_a_writer_that_dies_ends_the_file(full: Stage):
    views = [image_view(plain(picture(number)), LISTED) for number in NUMBERS]
    async with Press(1).open() as file:
        assert await file.write(views) == b"PAR1"
        psutil.Process(file.pid).kill()
        with pytest.raises(ParquetDied):
            while True:
                await file.write(views)


@pytest.mark.slow
async def test_a_hundred_thousand_pictures_take_no_more_memory_than_some(tmp_path: Path):
    views = [image_view(plain(picture(number)), LISTED) for number in range(500)]
    path, sizes = tmp_path / "images.parquet", []
    async with Press(1).open() as file:
        with path.open("wb") as out:
            for _ in range(200):
                out.write(await file.write(views))
                sizes.append(psutil.Process(file.pid).memory_info().rss)
            out.write(await file.close())
    groups = GROUP_ROWS // len(views)
    early, late = max(sizes[: 4 * groups]), max(sizes[-4 * groups :])
    assert late < early * 1.2
    assert late < 250_000_000
    assert len(await asyncio.to_thread(read, path, "id")) == 100_000


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
