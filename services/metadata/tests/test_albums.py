"""Albums over HTTP: what is in them, in which order, and what a rebuild keeps."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from metadata_service.albums.ordering import Member, moved

from services.metadata.tests.conftest import Open, Stage
from services.metadata.tests.samples import deleted, image_id, uploaded

PATH = "/metadata/albums"
ONE, TWO, THREE, FOUR = (image_id(number) for number in (1, 2, 3, 4))


async def album(stage: Stage, *images: str, title: str = "Holidays") -> str:
    """Make an album, and return its path."""
    made = await stage.http.post(PATH, json={"title": title, "images": list(images)})
    assert made.status_code == 201, made.text
    location: str = made.headers["location"]
    return location


async def four(stage: Stage) -> str:
    await stage.say(*(uploaded(name) for name in (ONE, TWO, THREE, FOUR)))
    return await album(stage, ONE, TWO, THREE)


async def inside(stage: Stage, path: str) -> list[str]:
    await stage.bus.settle()
    return [item["id"] for item in (await stage.http.get(path)).json()["items"]]


async def arrange(stage: Stage, path: str, **body: Any) -> dict[str, Any]:
    answer = await stage.http.patch(f"{path}/images", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_pictures_are_put_in_moved_and_taken_out(stage: Stage):
    path = await four(stage)
    assert await inside(stage, path) == [ONE, TWO, THREE]
    await arrange(stage, path, add=[FOUR], before=TWO)
    assert await inside(stage, path) == [ONE, FOUR, TWO, THREE]
    await arrange(stage, path, add=[THREE, TWO], before=ONE)
    assert await inside(stage, path) == [THREE, TWO, ONE, FOUR]
    await arrange(stage, path, add=[THREE])
    assert await inside(stage, path) == [TWO, ONE, FOUR, THREE]
    assert (await arrange(stage, path, remove=[ONE, THREE]))["size"] == 2
    assert await inside(stage, path) == [TWO, FOUR]
    await arrange(stage, path, add=[ONE])
    assert await inside(stage, path) == [TWO, FOUR, ONE]


async def test_pictures_know_their_albums(stage: Stage):
    path = await four(stage)
    other = await album(stage, TWO, title="Best of")
    await stage.bus.settle()
    ids = [each.rpartition("/")[2] for each in (path, other)]
    assert (await stage.get(TWO)).json()["albums"] == sorted(ids)
    assert (await stage.get(ONE)).json()["albums"] == ids[:1]
    assert (await stage.http.delete(path)).status_code == 204
    await stage.bus.settle()
    assert (await stage.get(TWO)).json()["albums"] == ids[1:]
    assert (await stage.http.get(path)).json()["code"] == "unknown_album"
    listed = (await stage.http.get(PATH)).json()
    assert [each["title"] for each in listed["items"]] == ["Best of"]


async def test_the_cover_is_the_first_until_one_is_chosen(stage: Stage):
    path = await four(stage)
    assert (await stage.http.get(path)).json()["cover"] == ONE
    for name in (THREE, TWO):
        chosen = await stage.http.patch(path, json={"cover": name})
        assert chosen.json()["cover"] == name
        assert (await stage.http.get(path)).json()["cover"] == name
    await arrange(stage, path, remove=[TWO])
    assert (await stage.http.get(path)).json()["cover"] == ONE
    absent = await stage.http.patch(path, json={"cover": FOUR})
    assert (absent.status_code, absent.json()["code"]) == (400, "not_in_album")


async def test_many_may_put_pictures_in_at_once(stage: Stage):
    names = [image_id(number) for number in range(40)]
    await stage.say(*(uploaded(name) for name in names))
    path = await album(stage)
    asked = (
        stage.http.patch(f"{path}/images", json={"add": names[begin : begin + 2]})
        for begin in range(0, len(names), 2)
    )
    assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}
    found = (await stage.http.get(path, params={"limit": 100})).json()
    held = [item["id"] for item in found["items"]]
    assert sorted(held) == names
    # What was put in together stands together.
    assert all(held.index(names[n + 1]) == held.index(names[n]) + 1 for n in range(0, 40, 2))


async def test_a_deleted_picture_is_in_no_album(stage: Stage):
    path = await four(stage)
    await stage.bus.settle()
    await stage.say(deleted(TWO))
    assert await inside(stage, path) == [ONE, THREE]
    gone = await stage.http.patch(f"{path}/images", json={"add": [image_id(9)]})
    assert (gone.status_code, gone.json()["code"]) == (404, "unknown_image")


async def test_changes_are_guarded(stage: Stage):
    path = await four(stage)
    tag = (await stage.http.get(path)).headers["etag"]
    renamed = await stage.http.patch(path, json={"title": "Sea"}, headers={"if-match": tag})
    assert (renamed.status_code, renamed.json()["title"]) == (200, "Sea")
    for method, where, body in (
        ("PATCH", path, {"title": "Lake"}),
        ("PATCH", f"{path}/images", {"add": [FOUR]}),
        ("DELETE", path, None),
    ):
        late = await stage.http.request(method, where, json=body, headers={"if-match": tag})
        assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    fresh = renamed.headers["etag"]
    added = await stage.http.patch(
        f"{path}/images", json={"add": [FOUR]}, headers={"if-match": fresh}
    )
    assert (added.status_code, added.json()["size"]) == (200, 4)


async def test_pages_go_on_where_the_last_one_ended(stage: Stage):
    await four(stage)
    path = await album(stage, FOUR, THREE, TWO, ONE)
    await stage.bus.settle()
    first = (await stage.http.get(path, params={"limit": 2})).json()
    assert [item["id"] for item in first["items"]] == [FOUR, THREE]
    await arrange(stage, path, remove=[THREE])
    second = (await stage.http.get(path, params={"limit": 2, "cursor": first["next"]})).json()
    assert [item["id"] for item in second["items"]] == [TWO, ONE]
    assert second["next"] is None


async def test_a_rebuild_keeps_albums_ratings_and_places(stage: Stage):
    path = await four(stage)
    await arrange(stage, path, add=[ONE], remove=[TWO])
    body = {"rating": 5, "favourite": True, "position": {"latitude": 1, "longitude": 2}}
    await stage.http.patch(f"/metadata/images/{ONE}", json=body)
    await stage.bus.settle()
    before = [(await stage.get(name)).json() for name in (ONE, TWO, THREE)]
    stage.store.editions.lose()
    asked = await stage.http.post("/metadata/rebuilds", json={})
    async with asyncio.timeout(20):
        while (await stage.http.get(asked.headers["location"])).json()["ended_at"] is None:
            await asyncio.sleep(0.01)
    assert [(await stage.get(name)).json() for name in (ONE, TWO, THREE)] == before
    assert await inside(stage, path) == [THREE, ONE]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_request"),
        ({"title": " "}, "invalid_request"),
        ({"title": "a\u0000"}, "invalid_request"),
        ({"title": "x" * 201}, "limit_exceeded"),
        ({"title": 5}, "invalid_request"),
        ({"title": "x", "images": ["7"]}, "malformed_image_id"),
        ({"title": "x", "name": "y"}, "invalid_request"),
    ],
)
async def test_bad_albums(stage: Stage, body: Any, code: str):
    answer = await stage.http.post(PATH, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
    assert (await stage.http.get(PATH)).json()["count"] == 0


async def test_bad_arrangements(stage: Stage):
    path = await four(stage)
    for body, code in (
        ({"add": [ONE], "remove": [ONE]}, "invalid_request"),
        ({"add": [ONE], "before": ONE}, "invalid_request"),
        ({"add": [ONE], "before": FOUR}, "not_in_album"),
        ({"add": "x"}, "invalid_request"),
    ):
        answer = await stage.http.patch(f"{path}/images", json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    for query in ("limit=0", "cursor=x", "cursor=0x1.0p%2B9999_" + "a" * 36, "page=2"):
        bad = await stage.http.get(f"{path}?{query}")
        assert bad.status_code == 400, query
    assert (await stage.http.get(f"{PATH}/nowhere")).status_code == 404


async def test_albums_have_limits(open_stage: Open):
    async with open_stage(albums_max=1, album_pictures_max=2) as stage:
        await stage.say(*(uploaded(name) for name in (ONE, TWO, THREE)))
        path = await album(stage, ONE, TWO)
        more = await stage.http.post(PATH, json={"title": "more"})
        assert more.json()["limit"] == "ALBUMS_MAX"
        full = await stage.http.patch(f"{path}/images", json={"add": [THREE]})
        assert full.json()["limit"] == "ALBUM_PICTURES_MAX"


@given(
    steps=st.lists(
        st.tuples(
            st.lists(st.integers(0, 6), min_size=1, max_size=3, unique=True), st.integers(0, 6)
        ),
        max_size=60,
    )
)
def test_numbers_keep_the_order_however_often_pictures_move(
    steps: list[tuple[list[int], int]],
):
    orders: dict[str, float] = {str(name): float(name) for name in range(7)}
    expected = [str(name) for name in range(7)]
    for moving, target in steps:
        names, before = [str(each) for each in moving], str(target)
        if before in names:
            continue
        members = [
            Member(image_id=name, order=order)
            for name, order in sorted(orders.items(), key=lambda each: (each[1], each[0]))
        ]
        orders |= moved(members, names, before)
        rest = [name for name in expected if name not in names]
        place = rest.index(before)
        expected = [*rest[:place], *names, *rest[place:]]
        assert sorted(orders, key=lambda name: (orders[name], name)) == expected
