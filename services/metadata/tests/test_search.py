"""Searches over HTTP: filters, the query language, explanations, facets, fields, orders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
import pytest
from imagesystem.errors import Rejected
from imagesystem.memory import MemoryPlatform
from imagesystem.testing import client
from metadata_service.app import create_app
from metadata_service.colours import distance, lab
from metadata_service.derivation import DERIVED, derive
from metadata_service.documents import Document
from metadata_service.filters import FILTERS
from metadata_service.library import FEW
from metadata_service.memory import MemoryStore
from metadata_service.queries import Query
from metadata_service.search.facets import FACETS, Counts, Facet
from metadata_service.settings import Settings
from metadata_service.store import TOO_SLOW
from metadata_service.views import PATHS, ImageView

from services.metadata.tests.conftest import Open, Stage
from services.metadata.tests.gallery import facts, picture
from services.metadata.tests.samples import at, failed, image_id, inferred, planned, uploaded
from services.metadata.tests.test_lists import EXPECTED

NUMBERS = range(1, 81)
GALLERY = [picture(number) for number in NUMBERS]


@pytest.fixture(scope="module")
async def full(open_stage: Open) -> AsyncIterator[Stage]:
    async with open_stage(facets_kept_s=0.0) as stage:
        for number in NUMBERS:
            await stage.say(*facts(number))
        yield stage


async def search(stage: Stage, **params: Any) -> dict[str, Any]:
    answer = await stage.http.get("/metadata/search", params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def labelled(document: Document, name: str, least: float) -> bool:
    return any(each.name == name and each.score >= least for each in document.labels)


def counted(document: Document, name: str, least: int) -> bool:
    return any(each.name == name and each.count >= least for each in document.objects)


def near(document: Document, colour: str, within: float) -> bool:
    return any(distance(lab(each.hex), lab(colour)) <= within for each in document.palette)


def exif(document: Document, name: str) -> Any:
    assert document.uploaded is not None
    return getattr(document.uploaded.exif, name)


def has(name: str) -> Callable[[Document], bool]:
    return lambda document: f"has:{name}" in document.traits


Finds = Callable[[Document], Any]
#: A filter's value, and what it means in other words.
MEANING: dict[str, tuple[Any, Finds]] = {
    "any_tag": (["cat", "sofa"], lambda d: {"cat", "sofa"} & set(d.tags)),
    "no_tag": (["cat", "sofa"], lambda d: not {"cat", "sofa"} & set(d.tags)),
    "camera": ("Canon EOS R5", lambda d: d.camera == "Canon EOS R5"),
    "lens": ("RF 24-70 mm", lambda d: exif(d, "lens") == "RF 24-70 mm"),
    "near_colour": ("008585:8", lambda d: near(d, "#008585", 8)),
    "label": (["cat:0.5", "dog"], lambda d: labelled(d, "cat", 0.5) and labelled(d, "dog", 0)),
    "object": ("person:2", lambda d: counted(d, "person", 2)),
    "min_faces": (1, lambda d: (d.faces or 0) >= 1),
    "max_faces": (1, lambda d: d.faces is not None and d.faces <= 1),
    "has_text": ("true", lambda d: "text" in d.inferred),
    "has_faces": ("false", lambda d: not d.faces),
    "has_objects": ("true", lambda d: d.objects),
    "has_caption": ("true", lambda d: d.caption),
    "has_tags": ("false", lambda d: not d.tags),
    "has_location": ("true", lambda d: exif(d, "gps")),
    "has_camera": ("false", lambda d: not exif(d, "model")),
    "has_variants": ("false", lambda d: True),
    "has_embedding": ("true", lambda d: "embedding" in d.inferred),
    "has_favourite": ("true", lambda d: d.favourite),
    "has_duplicates": ("false", lambda d: d.group is None),
    "has_rating": ("true", lambda d: d.rating is not None),
    "has_failures": ("false", lambda d: True),
    "min_megapixels": ("1.5", lambda d: d.width * d.height >= 1_500_000),
    "max_megapixels": ("1.5", lambda d: d.width * d.height <= 1_500_000),
    "min_frames": (1, lambda d: True),
    "max_frames": (0, lambda d: False),
    "min_iso": (400, lambda d: (exif(d, "iso") or 0) >= 400),
    "max_iso": (100, lambda d: exif(d, "iso") == 100),
    "min_f_number": (2, lambda d: (exif(d, "f_number") or 0) >= 2),
    "max_f_number": (2, lambda d: exif(d, "f_number") == 1.8),
    "min_focal_length": (1, lambda d: False),
    "max_focal_length": (1, lambda d: False),
    "min_sharpness": (
        250,
        lambda d: "analysis" in d.inferred and d.inferred["analysis"].result["sharpness"] >= 250,
    ),
    "max_sharpness": (
        250,
        lambda d: "analysis" in d.inferred and d.inferred["analysis"].result["sharpness"] <= 250,
    ),
    "min_rating": (4, lambda d: d.rating == 5),
    "max_rating": (4, lambda d: d.rating == 1),
    "album": ("nowhere", lambda d: False),
    "group": ("nowhere", lambda d: False),
    "taken_after": ("2023-01-01T00:00:00Z", lambda d: d.taken_at and d.taken_at.year >= 2023),
    "taken_before": ("2023-01-01T00:00:00Z", lambda d: d.taken_at and d.taken_at.year < 2023),
    "updated_after": ("2026-01-02T03:20:05.678Z", lambda d: d.updated_at >= at(15.999)),
    "updated_before": ("2026-01-02T03:20:05.678Z", lambda d: d.updated_at < at(15.999)),
    "near": (
        "52.5,13.4,100",
        lambda d: d.location and abs(d.location.coordinates[1] - 52.5) < 0.85,
    ),
    "box": ("-180,-90,180,0", lambda d: d.location and d.location.coordinates[1] <= 0),
}


@pytest.mark.parametrize("name", MEANING)
async def test_every_filter_finds_what_it_says(full: Stage, name: str):
    value, finds = MEANING[name]
    expected = {each.image_id for each in full.store.documents.values() if finds(each)}
    for path in ("images/list", "search"):
        answer = await full.http.get(
            f"/metadata/{path}", params={name: value, "limit": 1000, "fields": "id"}
        )
        assert answer.status_code == 200, answer.text
        assert {item["id"] for item in answer.json()["items"]} == expected


def test_every_filter_is_tried():
    assert {*MEANING, *(name for params, _ in EXPECTED for name in params)} == set(FILTERS)


def test_what_is_derived_follows_from_the_facts_alone():
    for document in GALLERY:
        bare = {name: getattr(Document(image_id=""), name) for name in DERIVED}
        assert derive(msgspec.structs.replace(document, **bare)) == document


async def test_a_query_and_filters_together(full: Stage):
    found = await search(full, q="faces>=1 -tag:private", kind="photo", limit=1000)
    assert found["items"]
    for item in found["items"]:
        assert item["faces"] >= 1
        assert "private" not in item["tags"]
        assert item["kind"] == "photo"


async def test_hits_say_why(full: Stage):
    found = await search(full, q="cat", limit=1000)
    scores = [item["score"] for item in found["items"]]
    assert scores == sorted(scores, reverse=True)
    for item in found["items"]:
        assert sum(match["score"] for match in item["matches"]) == pytest.approx(item["score"])
        for match in item["matches"]:
            assert match["words"] == ["cat"]
            held = {"filename": item["filename"], "caption": item["caption"], "tags": item["tags"]}
            said = held.get(match["field"], "cat")
            assert "cat" in str(said).lower()
    assert {match["field"] for item in found["items"] for match in item["matches"]} == {
        "tags",
        "caption",
        "filename",
        "labels",
        "text",
    }


async def test_pages_of_hits_and_a_total(full: Stage):
    everything = [item["id"] for item in (await search(full, q="cat", limit=1000))["items"]]
    seen: list[str] = []
    params: dict[str, Any] = {"q": "cat", "limit": 7, "total": "true", "fields": "id"}
    while True:
        page = await search(full, **params)
        assert page["total"] == len(everything)
        assert all(set(item) == {"id", "score", "matches"} for item in page["items"])
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        params["cursor"] = page["next"]
    assert seen == everything


async def test_the_least_score_leaves_out_weak_hits(full: Stage):
    found = await search(full, q="cat", min_score=9, limit=1000)
    assert found["items"]
    assert all(item["score"] >= 9 for item in found["items"])
    assert len(found["items"]) < len((await search(full, q="cat", limit=1000))["items"])


async def test_facets_count_all_that_is_found(full: Stage):
    found = await search(full, q="faces>=1", facets="tag,kind,year", limit=1)
    among = [each for each in GALLERY if each.faces]
    facets = found["facets"]
    assert facets["counted"] == len(among)
    kinds = {each["value"]: each["count"] for each in facets["values"]["kind"]}
    assert kinds == {kind: sum(each.kind == kind for each in among) for kind in kinds}
    counts = [each["count"] for each in facets["values"]["tag"]]
    assert counts == sorted(counts, reverse=True)
    assert all(isinstance(each["value"], int) for each in facets["values"]["year"])


async def test_what_facets_tell_can_be_asked_for(full: Stage):
    names = [name for name in FACETS if name != "year"]
    answer = await full.http.get("/metadata/search", params={"facets": ",".join(names)})
    for name, values in answer.json()["facets"]["values"].items():
        for value in values[:3]:
            asked = {"q": f'{name}:"{value["value"]}"', "total": "true", "limit": 1}
            found = (await full.http.get("/metadata/search", params=asked)).json()
            assert found.get("total") == value["count"], (asked, found)


async def test_a_total_beyond_what_is_counted(open_stage: Open):
    async with open_stage(count_max=2) as stage:
        await stage.say(uploaded(image_id(1)), uploaded(image_id(2)))
        assert (await search(stage, total="true"))["total"] == 2
        await stage.say(uploaded(image_id(3), tags=["x"]))
        assert (await search(stage, total="true"))["total"] == 2, "kept for a moment"
        assert (await search(stage, total="true", no_tag="y"))["total"] is None


async def test_fields(full: Stage):
    item = (await search(full, q="has:embedding", fields="filename,inferred.labels,exif.iso"))[
        "items"
    ][0]
    assert set(item) == {"filename", "inferred", "exif"}
    assert set(item["inferred"]) == {"labels"}
    assert set(item["exif"]) <= {"iso"}
    name = (await search(full, q="has:embedding", fields="id"))["items"][0]["id"]
    path = "inferred.embedding.result.vector"
    one = (await full.get(name, fields=path)).json()
    assert one == {"inferred": {"embedding": {"result": {"vector": "AAAAAAAAAAAAAAAAAAAAAA=="}}}}
    for whole in ((await full.get(name)).json(), (await full.get(name, wait="ready")).json()):
        assert whole["inferred"]["embedding"]["result"] == {"dimensions": 4}
    listed = (await full.get("list", q="has:embedding", limit=1)).json()["items"][0]
    assert listed["inferred"]["embedding"]["result"] == {"dimensions": 4}


async def test_answers_are_what_is_described(full: Stage):
    for number in NUMBERS:
        body = (await full.get(image_id(number))).content
        view = msgspec.json.decode(body, type=ImageView)
        assert list(msgspec.json.decode(body)) == list(PATHS)
        assert msgspec.json.decode(msgspec.json.encode(view)) == msgspec.json.decode(body)


async def test_orders(full: Stage):
    def of(name: str, items: list[dict[str, Any]]) -> list[Any]:
        return [item[name] for item in items]

    params = {"limit": 1000, "fields": "size_bytes,uploaded_at,taken_at"}
    largest = (await search(full, sort="largest", **params))["items"]
    assert of("size_bytes", largest) == sorted(of("size_bytes", largest), reverse=True)
    smallest = (await search(full, sort="smallest", **params))["items"]
    assert of("size_bytes", smallest) == of("size_bytes", largest)[::-1]
    taken = (await search(full, sort="taken", **params))["items"]
    moments = [item["taken_at"] or item["uploaded_at"] for item in taken]
    assert moments == sorted(moments, reverse=True)


@pytest.mark.parametrize(
    ("query", "code", "about"),
    [
        ("q=lable:x", "invalid_query", "no field 'lable'"),
        ("q=faces>x", "invalid_query", "character 7"),
        ("q=" + "x" * 1001, "invalid_parameter", "q="),
        ("sort=relevance", "invalid_parameter", "needs words"),
        ("sort=best", "invalid_parameter", "sort="),
        ("fields=nothing", "invalid_parameter", "no field 'nothing'"),
        ("fields=", "invalid_parameter", "no field ''"),
        ("fields=tags.$x", "invalid_parameter", "no field"),
        ("fields=inferred.$where", "invalid_parameter", "no field"),
        ("fields=inferred.", "invalid_parameter", "no field"),
        ("facets=everything", "invalid_parameter", "no facet 'everything'"),
        ("near=1,2", "invalid_parameter", "near="),
        ("near=1,2,inf", "invalid_parameter", "near="),
        ("box=nan,0,0,0", "invalid_parameter", "box="),
        ("near_colour=blue", "invalid_parameter", "near_colour="),
        ("near_colour=112233:x", "invalid_parameter", "near_colour="),
        ("label=:0.5", "invalid_parameter", "label="),
        ("min_megapixels=inf", "invalid_parameter", "min_megapixels="),
        ("has_text=maybe", "invalid_parameter", "has_text="),
        ("min_score=-1&q=x", "invalid_parameter", "min_score="),
        ("total=2", "invalid_parameter", "total="),
    ],
)
async def test_bad_searches(stage: Stage, query: str, code: str, about: str):
    answer = await stage.http.get(f"/metadata/search?{query}")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, code)
    assert about in problem["detail"]


async def test_a_problem_points_at_the_character(stage: Stage):
    problem = (await stage.http.get("/metadata/search", params={"q": "cat lable:x"})).json()
    assert problem["position"] == 4
    assert "label" in problem["allowed"]


async def test_a_cursor_goes_with_its_order(full: Stage):
    cursor = (await search(full, sort="largest", limit=2))["next"]
    again = await search(full, cursor=cursor, limit=2)
    assert again == await search(full, cursor=cursor, sort="largest", limit=2)
    answer = await full.http.get("/metadata/search", params={"cursor": cursor, "sort": "taken"})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_cursor")


async def test_statistics(open_stage: Open):
    async with open_stage(stats_kept_s=0.0) as stage:
        empty = (await stage.http.get("/metadata/stats")).json()
        assert (empty["images"], empty["bytes"], empty["stages"]) == (0, 0, {})
        one, two = image_id(1), image_id(2)
        await stage.say(
            uploaded(one, size_bytes=10),
            planned(one, tasks=("analysis", "labels")),
            inferred(one),
            uploaded(two, size_bytes=5, minutes=60 * 24, media_type="image/png"),
            planned(two),
            failed(two),
        )
        stats = (await stage.http.get("/metadata/stats")).json()
        assert (stats["images"], stats["bytes"]) == (2, 15)
        assert stats["stages"] == {
            "analysis": {"backlog": 0, "answered": 1, "failures": 1},
            "labels": {"backlog": 1, "answered": 0, "failures": 0},
        }
        assert stats["growth"] == [
            {"day": "2026-01-03", "images": 1, "bytes": 5},
            {"day": "2026-01-02", "images": 1, "bytes": 10},
        ]
        assert {each["value"] for each in stats["top"]["colour"]} == {"teal", "gold"}
        assert stats["top"]["format"][0]["count"] == 1


async def test_counts_that_take_too_long_are_told_in_part():
    class Slow(MemoryStore):
        """Has no time to count many pictures."""

        async def count(self, query: Query, most: int) -> int:
            raise Rejected(422, TOO_SLOW, "it takes too long")

        async def facets(self, query: Query, facets: Sequence[Facet], most: int) -> Counts:
            if most > FEW:
                raise Rejected(422, TOO_SLOW, "it takes too long")
            return await super().facets(query, facets, most)

    platform, store = MemoryPlatform(), Slow()
    async with client(create_app(Settings(), platform.connect, store.open)) as http:
        await platform.bus.publish(uploaded(image_id(1), tags=["a"]))
        await platform.bus.settle()
        answer = await http.get("/metadata/search", params={"facets": "tag", "total": "true"})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["count"], found["total"]) == (1, None)
    assert found["facets"] == {"counted": 1, "values": {"tag": [{"value": "a", "count": 1}]}}
