"""The list over HTTP: order, pages, filters, bad input."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from metadata_service.filters import FILTERS

from services.metadata.tests.conftest import Open, Stage
from services.metadata.tests.samples import (
    annotated,
    augmented,
    deleted,
    image_id,
    inferred,
    planned,
    uploaded,
)


async def listed(stage: Stage, **params: Any) -> list[int]:
    """Return the numbers of the pictures listed (see `image_id`)."""
    answer = await stage.get("list", **params)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["count"] == len(body["items"])
    return [int(item["id"][-12:], 16) for item in body["items"]]


async def test_newest_first_with_what_is_known(stage: Stage):
    for number in (1, 2, 3):
        name = image_id(number)
        await stage.say(uploaded(name, minutes=number), planned(name), inferred(name))
    await stage.say(augmented(image_id(3)))
    assert await listed(stage) == [3, 2, 1]
    item = (await stage.get("list", limit=1)).json()["items"][0]
    assert item["inferred"]["analysis"]["result"]["kind"]["name"] == "photo"
    assert item["variant_count"] == 1
    assert "variants" not in item


async def test_an_empty_list(stage: Stage):
    assert (await stage.get("list")).json() == {"items": [], "next": None, "count": 0}


async def test_pages_stay_the_same_while_pictures_come_and_go(open_stage: Open):
    async with open_stage(list_default=3) as stage:
        for number in range(1, 11):  # three of the same moment each
            await stage.say(uploaded(image_id(number), minutes=number // 3))
        seen: list[int] = []
        cursor, pages = None, 0
        while True:
            params = {"cursor": cursor} if cursor else {}
            body = (await stage.get("list", **params)).json()
            seen += [int(item["id"][-12:], 16) for item in body["items"]]
            pages, cursor = pages + 1, body["next"]
            if cursor is None:
                break
            await stage.say(uploaded(image_id(100 + pages), minutes=50))
            await stage.say(deleted(image_id(seen[-1])))
        assert seen == list(range(10, 0, -1))
        assert pages == 4


async def test_a_cursor_goes_on_with_the_same_filters(stage: Stage):
    for number in range(1, 9):
        owner = "ann" if number % 2 else "bob"
        await stage.say(uploaded(image_id(number), minutes=number, owner=owner))
    first = (await stage.get("list", owner="ann", limit=3)).json()
    assert [int(item["id"][-2:], 16) for item in first["items"]] == [7, 5, 3]
    assert await listed(stage, owner="ann", limit=3, cursor=first["next"]) == [1]


#: Filter values, and which of the pictures of `gallery` they find (the others: `test_search.py`).
EXPECTED: list[tuple[dict[str, Any], set[int]]] = [
    ({"owner": "ann"}, {2}),
    ({"tag": "cat"}, {1, 2}),
    ({"tag": ["cat", "sofa"]}, {2}),
    ({"format": "png"}, {3}),
    ({"format": ["png", "jpeg"]}, {1, 2, 3}),
    ({"media_type": "image/png"}, {3}),
    ({"status": "ready"}, {2, 3}),
    ({"status": "pending"}, {1}),
    ({"status": ["pending", "ready"]}, {1, 2, 3}),
    ({"status": "partial"}, set()),
    ({"kind": "graphic"}, {3}),
    ({"colour": "Teal"}, {2, 3}),
    ({"colour": ["teal", "gold"]}, {2}),
    ({"orientation": "portrait"}, {3}),
    ({"min_width": 640}, {1, 2}),
    ({"max_width": 639}, {3}),
    ({"min_height": 481, "max_height": 700}, {3}),
    ({"min_bytes": 1000, "max_bytes": 1000}, {1, 2}),
    ({"uploaded_after": "2026-01-02T03:06:05.678Z"}, {2, 3}),
    ({"uploaded_before": "2026-01-02T04:06:05.678+01:00"}, {1}),
    (
        {"uploaded_after": "2026-01-02T03:05:05.678", "uploaded_before": "2030-01-01T00:00:00Z"},
        {1, 2, 3},
    ),
    ({"filename": "CAT.J"}, {1, 2}),
    ({"filename": "."}, {1, 2, 3}),
    ({"filename": "c.t"}, set()),
    ({"tag": "cat", "owner": "public", "status": "pending"}, {1}),
]


async def gallery(stage: Stage) -> None:
    one, two, three = (image_id(number) for number in (1, 2, 3))
    await stage.say(
        uploaded(one, minutes=1, tags=["cat"]),
        uploaded(two, minutes=2, owner="ann", filename="My Cat.JPG"),
        planned(two),
        inferred(two),
        annotated(two, tags=("cat", "sofa")),
        uploaded(
            three,
            minutes=3,
            filename="plan.png",
            media_type="image/png",
            width=300,
            height=600,
            size_bytes=50,
        ),
        planned(three),
        inferred(three, kind="graphic", colours=("teal",)),
    )


async def test_every_filter_finds_what_it_says(stage: Stage):
    await gallery(stage)
    for params, expected in EXPECTED:
        assert set(await listed(stage, **params)) == expected, params


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "invalid_parameter"),
        ("limit=-1", "invalid_parameter"),
        ("limit=ten", "invalid_parameter"),
        ("limit=1001", "limit_exceeded"),
        ("limit=99999999999999999999", "invalid_parameter"),
        ("limit=5&limit=6", "repeated_parameter"),
        ("colr=teal", "unknown_parameter"),
        ("$where=1", "unknown_parameter"),
        ("status=deleted", "invalid_parameter"),
        ("format=svg", "invalid_parameter"),
        ("kind=", "invalid_parameter"),
        ("tag=", "invalid_parameter"),
        ("tag=a%00b", "invalid_parameter"),
        ("filename=" + "x" * 201, "invalid_parameter"),
        ("min_width=1.5", "invalid_parameter"),
        ("max_bytes=9007199254740992", "invalid_parameter"),
        ("uploaded_after=yesterday", "invalid_parameter"),
        ("uploaded_after=0001-01-01T00:00:00%2B14:00", "invalid_parameter"),
        ("owner=a&owner=b", "repeated_parameter"),
        ("cursor=", "malformed_cursor"),
        ("cursor=abc", "malformed_cursor"),
        ("cursor=%F0%9F%90%88", "malformed_cursor"),
        ("cursor=" + "A" * 300, "malformed_cursor"),
        ("cursor=" + "A" * 2000, "invalid_parameter"),
    ],
)
async def test_bad_requests(stage: Stage, query: str, code: str):
    answer = await stage.http.get(f"/metadata/images/list?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_a_limit_says_what_is_allowed(stage: Stage):
    problem = (await stage.get("list", limit=2000)).json()
    assert (problem["limit"], problem["allowed"], problem["actual"]) == ("LIST_MAX", "1000", "2000")


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=60), name=st.sampled_from([*FILTERS, "cursor", "limit", "x"]))
async def test_nothing_in_a_query_is_our_error(stage: Stage, data: bytes, name: str):
    escaped = "".join(f"%{byte:02x}" for byte in data)
    answer = await stage.http.get(f"/metadata/images/list?{name}={escaped}")
    assert answer.status_code in (200, 400)


async def test_paging_visits_everything_once_in_order(stage: Stage):
    chance = random.Random(7)
    numbers = list(range(1, 60))
    chance.shuffle(numbers)
    for number in numbers:
        await stage.say(uploaded(image_id(number), minutes=chance.randrange(8)))
    everything = await listed(stage, limit=1000)
    for limit in (1, 7, 58, 59, 60):
        seen: list[int] = []
        params: dict[str, Any] = {"limit": limit}
        while True:
            body = (await stage.get("list", **params)).json()
            seen += [int(item["id"][-12:], 16) for item in body["items"]]
            if body["next"] is None:
                break
            params["cursor"] = body["next"]
        assert seen == everything
