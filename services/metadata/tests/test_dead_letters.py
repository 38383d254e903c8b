"""Dead letters over HTTP: list, show, replay, discard, and bad input."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imagesystem import ids
from imagesystem.events import DeadLetter, encode, letter_id
from imagesystem.topology import CONSUMERS
from metadata_service.dead_letters.routes import LIST_PARAMETERS

from services.metadata.tests.conftest import Stage
from services.metadata.tests.samples import image_id, uploaded

#: A consumer of another service: nobody in these tests handles its replays.
ELSEWHERE = "augmentation-units"


def dead(number: int, **more: Any) -> DeadLetter:
    consumer = more.get("consumer", ELSEWHERE)
    now = ids.now()
    fields: dict[str, Any] = {
        "letter_id": letter_id(consumer, "COMMANDS", number),
        "consumer": consumer,
        "stream": "COMMANDS",
        "sequence": number,
        "message_subject": f"commands.v1.augment.task.{number}",
        "headers": {"ce-id": str(number)},
        "payload": b'{"big": 123456789012345678901234567890}',
        "code": "bug",
        "error": "KeyError",
        "message": "why",
        "attempts": 3,
        "first_at": now,
        "last_at": now,
        "traceback": "Traceback …",
        "image_id": image_id(number),
    }
    return DeadLetter(**(fields | more))


async def letters(stage: Stage, **params: Any) -> list[int]:
    answer = await stage.http.get("/metadata/dead-letters", params=params)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["count"] == len(body["items"])
    return [item["sequence"] for item in body["items"]]


async def test_there_are_none(stage: Stage):
    answer = await stage.http.get("/metadata/dead-letters")
    assert answer.json() == {"items": [], "next": None, "count": 0}
    assert answer.headers["cache-control"] == "no-store"


async def test_newest_first_page_by_page(stage: Stage):
    for number in range(1, 6):
        await stage.say(dead(number))
    first = (await stage.http.get("/metadata/dead-letters?limit=2")).json()
    assert [item["sequence"] for item in first["items"]] == [5, 4]
    assert await letters(stage, limit=3, cursor=first["next"]) == [3, 2, 1]
    assert "payload" not in first["items"][0]
    assert first["items"][0]["payload_bytes"] == len(dead(1).payload)


async def test_every_filter_finds_what_it_says(stage: Stage):
    old = ids.now() - timedelta(days=2)
    await stage.say(
        dead(1, last_at=old), dead(2, code="worker_died"), dead(3, consumer="image-deleted")
    )
    day_ago = (ids.now() - timedelta(days=1)).isoformat()
    for params, expected in (
        ({"consumer": "image-deleted"}, [3]),
        ({"code": "worker_died"}, [2]),
        ({"image": image_id(1)}, [1]),
        ({"since": day_ago}, [3, 2]),
        ({"until": day_ago}, [1]),
        ({"consumer": ELSEWHERE, "code": "bug", "limit": 1}, [1]),
        ({"consumer": "no.such > thing"}, []),
    ):
        assert await letters(stage, **params) == expected, params


async def test_a_letter_is_shown_whole(stage: Stage):
    await stage.say(dead(1))
    answer = await stage.http.get(f"/metadata/dead-letters/{dead(1).letter_id}")
    assert answer.status_code == 200
    assert "123456789012345678901234567890" in answer.text, "as it was said, to the last digit"
    shown = answer.json()
    assert shown["payload_encoding"] == "json"
    assert shown["headers"] == {"ce-id": "1"}
    assert (shown["traceback"], shown["attempts"]) == ("Traceback …", 3)
    assert shown["subject"] == "commands.v1.augment.task.1"


@pytest.mark.parametrize("payload", [b"\xff\x00", b"{not json", b"[" * 100_000, b""])
async def test_what_is_not_json_is_shown_as_base64(stage: Stage, payload: bytes):
    await stage.say(dead(1, payload=payload))
    shown = (await stage.http.get(f"/metadata/dead-letters/{dead(1).letter_id}")).json()
    assert shown["payload_encoding"] == "base64"
    assert base64.b64decode(shown["payload"]) == payload


async def replayed(stage: Stage, path: str, **params: Any) -> httpx.Response:
    return await stage.http.post(f"/metadata/dead-letters/{path}", params=params)


async def test_a_replay_is_accepted_once(stage: Stage):
    await stage.say(dead(1))
    number = dead(1).letter_id
    answer = await replayed(stage, f"{number}/replay")
    assert answer.status_code == 202, answer.text
    assert answer.json() == {"id": number, "consumer": ELSEWHERE, "requested": True}
    again = await replayed(stage, f"{number}/replay")
    assert (again.status_code, again.json()["requested"]) == (202, False)
    assert f"commands.v1.replay.{ELSEWHERE}.{number}" in stage.bus.log


async def test_many_are_replayed_by_the_filters_of_the_list(stage: Stage):
    await stage.say(dead(1), dead(2), dead(3, code="other"), dead(4, consumer="gone"))
    answer = await replayed(stage, "replay", code="bug")
    assert answer.status_code == 202
    assert answer.json() == {"requested": 2, "waiting": 0, "unknown": 1, "next": None}
    answer = await replayed(stage, "replay")
    assert answer.json() == {"requested": 1, "waiting": 2, "unknown": 1, "next": None}


async def own_letter(stage: Stage, payload: bytes) -> DeadLetter:
    """Return a letter of the service itself, about an upload."""
    (sequence,) = await stage.say(uploaded(image_id(1)))
    letter = dead(
        1,
        consumer="metadata-facts",
        stream="IMAGES",
        sequence=sequence,
        message_subject=uploaded(image_id(1)).subject,
        payload=payload,
    )
    await stage.say(letter)
    answer = await replayed(stage, f"{letter.letter_id}/replay")
    assert answer.status_code == 202
    await stage.bus.settle()
    return letter


async def test_a_letter_that_is_handled_is_gone(stage: Stage):
    await own_letter(stage, encode(uploaded(image_id(1))))
    assert await letters(stage) == []
    assert (await stage.get(image_id(1))).status_code == 200


async def test_a_letter_that_fails_again_is_there_again(stage: Stage):
    letter = await own_letter(stage, b"{}")
    (left,) = (await stage.http.get("/metadata/dead-letters")).json()["items"]
    assert (left["id"], left["code"]) == (letter.letter_id, "undecodable_event")
    assert left["attempts"] == letter.attempts + 1


async def test_discarded_for_ever(stage: Stage):
    await stage.say(dead(1), dead(2))
    path = f"/metadata/dead-letters/{dead(1).letter_id}"
    assert (await stage.http.delete(path)).status_code == 204
    for answer in (
        await stage.http.delete(path),
        await stage.http.get(path),
        await stage.http.post(f"{path}/replay"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_letter")
    assert await letters(stage) == [2]


async def test_a_consumer_that_is_no_more(stage: Stage):
    await stage.say(dead(1, consumer="gone"))
    number = dead(1, consumer="gone").letter_id
    answer = await replayed(stage, f"{number}/replay")
    assert (answer.status_code, answer.json()["code"]) == (409, "unknown_consumer")
    assert all(name in answer.json()["detail"] for name in CONSUMERS)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "invalid_parameter"),
        ("limit=201", "invalid_parameter"),
        ("cursor=x", "invalid_parameter"),
        ("cursor=0", "invalid_parameter"),
        ("cursor=99999999999999999999", "invalid_parameter"),
        ("consumer=", "invalid_parameter"),
        ("since=yesterday", "invalid_parameter"),
        ("code=a&code=b", "repeated_parameter"),
        ("reason=x", "unknown_parameter"),
        ("image=x", "malformed_image_id"),
    ],
)
async def test_bad_requests(stage: Stage, query: str, code: str):
    for method, path in (("GET", ""), ("POST", "/replay")):
        if path and query.startswith("limit"):
            code = "unknown_parameter"
        answer = await stage.http.request(method, f"/metadata/dead-letters{path}?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_a_misspelt_filter_replays_nothing(stage: Stage):
    await stage.say(dead(1))
    answer = await replayed(stage, "replay", cosumer="x")
    assert answer.status_code == 400
    assert not any(subject.startswith("commands.") for subject in stage.bus.log)


@pytest.mark.parametrize("number", ["..", "%00", "*", ">", "a.b", "x" * 5000, "%F0%9F%90%88"])
async def test_no_such_letter(stage: Stage, number: str):
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/replay")):
        answer = await stage.http.request(method, f"/metadata/dead-letters/{number}{path}")
        assert answer.status_code in (404, 405), answer.text


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=60), name=st.sampled_from([*LIST_PARAMETERS, "x"]))
async def test_nothing_in_a_query_is_our_error(stage: Stage, data: bytes, name: str):
    escaped = "".join(f"%{byte:02x}" for byte in data)
    answer = await stage.http.get(f"/metadata/dead-letters?{name}={escaped}")
    assert answer.status_code in (200, 400)


async def test_without_nats_it_says_so(stage: Stage):
    stage.bus.down = True
    answer = await stage.http.get("/metadata/dead-letters")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    stage.bus.down = False
