"""Webhooks over HTTP: made, told of facts, looked at, removed."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.metadata.tests.conftest import Open, Stage
from services.metadata.tests.deliveries import (
    SETTINGS,
    deliveries,
    made,
    shown,
    until_delivery,
)
from services.metadata.tests.endpoints import Endpoint, Reply, Request, endpoint
from services.metadata.tests.samples import annotated, image_id, planned, uploaded


@pytest.fixture
async def stage(open_stage: Open) -> AsyncIterator[Stage]:
    async with open_stage(**SETTINGS) as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[Endpoint]:
    async with endpoint() as listening:
        yield listening


def signature(secret: str, request: Request) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    stamp = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}."
    digest = hmac.new(key, stamp.encode() + request.body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


async def test_a_fact_arrives_as_a_signed_cloudevent(stage: Stage, receiver: Endpoint):
    await stage.say(uploaded(image_id(1)))
    webhook = await made(stage, receiver.url, facts=["uploaded"])
    assert webhook["ping"]["status"] == "delivered"
    await stage.say(uploaded(image_id(2)), planned(image_id(2)))
    await receiver.until(lambda: receiver.events)
    (event,) = receiver.events  # from now on, and what was asked for
    assert event["type"] == "images.v1.uploaded"
    assert event["data"]["image_id"] == event["subject"] == image_id(2)
    request = receiver.requests[-1]
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.headers["webhook-id"] == event["id"]
    for request in receiver.requests:  # the ping too
        assert request.headers["webhook-signature"] == signature(webhook["secret"], request)
    delivery = await until_delivery(stage, webhook, type="images.v1.uploaded")
    assert (delivery["status"], delivery["attempts"], delivery["status_code"]) == (
        "delivered",
        1,
        204,
    )


async def test_a_secret_is_shown_once(stage: Stage, receiver: Endpoint):
    mine = "whsec_" + base64.b64encode(b"k" * 32).decode()
    webhook = await made(stage, receiver.url, secret=mine)
    assert webhook["secret"] == mine
    path = f"/metadata/webhooks/{webhook['id']}"
    for answer in (
        await stage.http.get(path),
        await stage.http.get("/metadata/webhooks"),
        await stage.http.patch(path, json={"description": "x"}),
        await stage.http.get(f"{path}/deliveries"),
    ):
        assert answer.status_code == 200
        assert mine not in answer.text
    rotated = (await stage.http.patch(path, json={"secret": None})).json()
    assert rotated["secret"] != mine
    await stage.http.post(f"{path}/ping")
    request = receiver.requests[-1]
    assert request.headers["webhook-signature"] == signature(rotated["secret"], request)


async def test_pages_of_deliveries(stage: Stage, receiver: Endpoint):
    webhook = await made(stage, receiver.url)
    for _ in range(6):
        await stage.http.post(f"/metadata/webhooks/{webhook['id']}/ping")
    path = f"/metadata/webhooks/{webhook['id']}/deliveries"
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 3}
    while True:
        page = (await stage.http.get(path, params=params)).json()
        assert page["count"] == len(page["items"])
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        params["cursor"] = page["next"]
    whole = [item["id"] for item in await deliveries(stage, webhook)]
    assert seen == whole
    assert len(set(seen)) == 7


async def test_it_ends_when_it_is_removed(stage: Stage, receiver: Endpoint):
    webhook = await made(stage, receiver.url)
    path = f"/metadata/webhooks/{webhook['id']}"
    assert (await stage.http.delete(path)).status_code == 204
    for answer in (await stage.http.get(path), await stage.http.delete(path)):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_webhook")
    other = await made(stage, receiver.url)
    await stage.say(annotated())
    await until_delivery(stage, other, type="images.v1.annotated", status="delivered")
    assert len(receiver.events) == 1
    kept = stage.platform.key_value("deliveries")
    assert await kept.count(f"metadata.{webhook['id']}.*") == 0


async def test_another_process_takes_over_where_one_left_off(open_stage: Open, receiver: Endpoint):
    async with open_stage(**SETTINGS) as stage:
        webhook = await made(stage, receiver.url)
        receiver.reply = lambda _: Reply(status=500)
        await stage.say(uploaded(image_id(1)))
        await until_delivery(stage, webhook, status="pending", attempts=1)
        bus, values = stage.platform.bus, stage.platform._key_values
    receiver.reply = lambda _: Reply()
    async with open_stage(**SETTINGS) as later:
        later.platform.bus.log, later.platform.bus.sequence = bus.log, bus.sequence
        for name, held in values.items():
            later.platform.key_value(name)._held = held._held
            later.platform.key_value(name)._revision = held._revision
        await until_delivery(later, webhook, status="delivered", image_id=image_id(1))
        assert (await shown(later, webhook))["enabled"]


async def test_there_may_be_only_so_many(open_stage: Open, receiver: Endpoint):
    async with open_stage(**SETTINGS, webhooks_max=1) as stage:
        await made(stage, receiver.url)
        answer = await stage.http.post("/metadata/webhooks", json={"url": receiver.url})
        assert answer.status_code == 409
        assert answer.json()["limit"] == "WEBHOOKS_MAX"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_request"),
        ({"url": 7}, "invalid_request"),
        ({"url": "https://example.com", "filter": []}, "invalid_request"),
        ({"url": "ftp://example.com"}, "invalid_url"),
        ({"url": "example.com/hook"}, "invalid_url"),
        ({"url": "https://"}, "invalid_url"),
        ({"url": "https://user:pw@example.com"}, "invalid_url"),
        ({"url": "https://example.com/#x"}, "invalid_url"),
        ({"url": "https://example.com/" + "x" * 3000}, "invalid_url"),
        ({"url": "http://[::1"}, "invalid_url"),
        ({"url": "http://a\x00b/"}, "invalid_url"),
        ({"url": "http://1.1.1.1:99999/"}, "invalid_url"),
        ({"url": "http://xn--/"}, "invalid_url"),
        ({"url": "http://exa mple.com/"}, "invalid_url"),
        ({"url": "http://a..b/"}, "invalid_url"),
        ({"url": "http://%00/"}, "invalid_url"),
        ({"url": f"http://{'a' * 64}.com/"}, "invalid_url"),
        ({"url": "https://1.1.1.1", "facts": ["uploads"]}, "unknown_type"),
        ({"url": "https://1.1.1.1", "facts": ["uploaded"] * 51}, "limit_exceeded"),
        ({"url": "https://1.1.1.1", "secret": "short"}, "invalid_secret"),
        ({"url": "https://1.1.1.1", "secret": "whsec_!!!"}, "invalid_secret"),
        ({"url": "https://1.1.1.1", "secret": "whsec_ä"}, "invalid_secret"),
        ({"url": "https://1.1.1.1", "description": "x" * 501}, "invalid_description"),
        ({"url": "http://127.0.0.1/"}, "address_refused"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "address_refused"),
        ({"url": "http://[::ffff:10.0.0.1]/"}, "address_refused"),
        ({"url": "http://localhost/"}, "address_refused"),
        ({"url": "http://0x7f000001/"}, "address_refused"),
    ],
)
async def test_bad_requests_are_named(open_stage: Open, body: dict[str, Any], code: str):
    async with open_stage() as stage:
        answer = await stage.http.post("/metadata/webhooks", json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
        assert (await stage.http.get("/metadata/webhooks")).json()["count"] == 0


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("nothing", 404, "unknown_webhook"),
        ("a.b.%3E", 404, "unknown_webhook"),
        ("00000000-0000-4000-8000-000000000000/deliveries", 404, "unknown_webhook"),
        ("{id}/deliveries?status=lost", 400, "invalid_parameter"),
        ("{id}/deliveries?limit=0", 400, "invalid_parameter"),
        ("{id}/deliveries?cursor=x", 400, "malformed_cursor"),
        ("{id}/deliveries?cursor=99999999999999999999-x", 400, "malformed_cursor"),
        ("{id}/deliveries?page=2", 400, "unknown_parameter"),
    ],
)
async def test_bad_questions_are_answered(
    stage: Stage, receiver: Endpoint, path: str, status: int, code: str
):
    webhook = await made(stage, receiver.url)
    answer = await stage.http.get(f"/metadata/webhooks/{path.format(id=webhook['id'])}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    for delivery_id in ("unknown", "a.*", "%3E"):
        missing = await stage.http.post(
            f"/metadata/webhooks/{webhook['id']}/deliveries/{delivery_id}/redeliver"
        )
        assert missing.status_code == 404, missing.text
