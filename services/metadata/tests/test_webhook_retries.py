"""Deliveries that fail: tried again, given up, and holding up no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from metadata_service.webhooks.couriers import MOST_PENDING

from services.metadata.tests.conftest import Open, Stage
from services.metadata.tests.deliveries import (
    SETTINGS,
    deliveries,
    made,
    subjects,
    until_delivery,
    until_shown,
)
from services.metadata.tests.endpoints import Endpoint, Reply, Request, endpoint
from services.metadata.tests.samples import image_id, inferred, uploaded


@pytest.fixture
async def stage(open_stage: Open) -> AsyncIterator[Stage]:
    async with open_stage(**SETTINGS) as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[Endpoint]:
    async with endpoint() as listening:
        yield listening


async def test_it_is_tried_again_under_the_same_id_until_it_works(stage: Stage, receiver: Endpoint):
    webhook = await made(stage, receiver.url)
    failures = iter((500, 503, 301))

    def reply(request: Request) -> Reply:
        del request
        return Reply(status=next(failures, 200))

    receiver.reply = reply
    await stage.say(uploaded())
    await receiver.until(lambda: len(receiver.events) == 4)
    ids = {request.headers["webhook-id"] for request in receiver.requests[-4:]}
    assert len(ids) == 1
    delivery = await until_delivery(stage, webhook, id=ids.pop(), status="delivered")
    assert delivery["attempts"] == 4
    view = await until_shown(stage, webhook, failing_since=None, pending=0)
    assert view["last_delivered_at"] is not None


async def test_a_failing_delivery_holds_up_no_other(stage: Stage, receiver: Endpoint):
    def reply(request: Request) -> Reply:
        return Reply(status=500 if request.event["subject"] == image_id(1) else 200)

    receiver.reply = reply
    webhook = await made(stage, receiver.url)
    for number in range(1, 6):
        await stage.say(uploaded(image_id(number)))
    await receiver.until(lambda: {image_id(n) for n in range(1, 6)} <= subjects(receiver))
    found = await deliveries(stage, webhook, status="pending")
    assert [delivery["image_id"] for delivery in found] == [image_id(1)]
    assert found[0]["status_code"] == 500
    assert found[0]["next_at"] is not None


async def test_a_dead_endpoint_holds_up_no_other_webhook(stage: Stage, receiver: Endpoint):
    async with endpoint() as dead:
        dead.reply = lambda _: Reply(hangs=True)
        stuck = asyncio.create_task(made(stage, dead.url))
        await dead.until(lambda: dead.requests)  # the ping hangs
        await made(stage, receiver.url)
        for number in range(30):
            await stage.say(uploaded(image_id(number)))
        await receiver.until(lambda: len(subjects(receiver)) == 30)
        stuck.cancel()


async def test_what_is_superseded_while_an_endpoint_is_down_is_not_delivered(
    stage: Stage, receiver: Endpoint
):
    receiver.reply = lambda _: Reply(status=500)
    webhook = await made(stage, receiver.url, facts=["inferred"])
    await stage.say(inferred(version="1"))
    await receiver.until(lambda: receiver.events)
    await stage.say(inferred(version="2"))
    receiver.reply = lambda _: Reply()
    old = await until_delivery(stage, webhook, status="superseded")
    new = await until_delivery(stage, webhook, status="delivered", type=old["type"])
    assert old["sequence"] < new["sequence"]
    assert receiver.events[-1]["data"]["model_version"] == "2"


async def test_what_waits_is_bounded_and_the_rest_waits_in_the_log(
    stage: Stage, receiver: Endpoint
):
    receiver.reply = lambda _: Reply(status=500)
    webhook = await made(stage, receiver.url)
    for number in range(200):
        await stage.say(uploaded(image_id(number)))
    await until_shown(stage, webhook, pending=MOST_PENDING)
    assert len(subjects(receiver)) == MOST_PENDING
    receiver.reply = lambda _: Reply()
    await receiver.until(lambda: len(subjects(receiver)) == 200)
    await until_shown(stage, webhook, pending=0)


async def test_what_cannot_be_written_down_is_not_sent_again_and_again(
    stage: Stage, receiver: Endpoint
):
    webhook = await made(stage, receiver.url)
    deliveries_kept = stage.platform.key_value("deliveries")
    deliveries_kept.down = True
    await stage.say(uploaded(image_id(1)))
    await receiver.until(lambda: receiver.events)
    deliveries_kept.down = False
    await stage.say(uploaded(image_id(2)))
    await until_delivery(stage, webhook, status="delivered", image_id=image_id(2))
    assert len(receiver.events) == 2


async def test_gone_disables_and_a_patch_enables_again(stage: Stage, receiver: Endpoint):
    webhook = await made(stage, receiver.url)
    receiver.reply = lambda _: Reply(status=410)
    await stage.say(uploaded(image_id(1)))
    view = await until_shown(stage, webhook, enabled=False)
    assert "410" in view["disabled_reason"]
    receiver.reply = lambda _: Reply()
    await stage.say(uploaded(image_id(2)))
    path = f"/metadata/webhooks/{webhook['id']}"
    enabled = (await stage.http.patch(path, json={"enabled": True})).json()
    assert (enabled["enabled"], enabled["disabled_reason"]) == (True, None)
    # what came meanwhile is delivered in its latest state
    await receiver.until(lambda: {image_id(1), image_id(2)} <= subjects(receiver))
    assert {event["subject"] for event in receiver.events} == {image_id(1), image_id(2)}


async def test_an_endpoint_that_failed_too_long_is_disabled(open_stage: Open, receiver: Endpoint):
    async with open_stage(**SETTINGS, webhook_disable_hours=0.2 / 3600) as stage:
        webhook = await made(stage, receiver.url)
        receiver.reply = lambda _: Reply(status=500)
        await stage.say(uploaded())
        view = await until_shown(stage, webhook, enabled=False)
    assert "the endpoint answered 500" in view["disabled_reason"]


async def test_a_delivery_is_given_up_at_last(open_stage: Open, receiver: Endpoint):
    async with open_stage(**SETTINGS, webhook_give_up_hours=0.2 / 3600) as stage:
        receiver.reply = lambda _: Reply(status=500)
        webhook = await made(stage, receiver.url)
        await stage.say(uploaded())
        delivery = await until_delivery(stage, webhook, status="failed", type="images.v1.uploaded")
        assert delivery["next_at"] is None
        receiver.reply = lambda _: Reply()
        path = f"/metadata/webhooks/{webhook['id']}/deliveries/{delivery['id']}/redeliver"
        answer = await stage.http.post(path)
        assert (answer.status_code, answer.json()["status"]) == (200, "delivered")
        assert receiver.requests[-1].headers["webhook-id"] == delivery["id"]
        await stage.say(uploaded(filename="other.jpg"))
        again = await stage.http.post(path)
        assert (again.status_code, again.json()["code"]) == (410, "fact_superseded")


async def test_the_rest_that_an_endpoint_asks_for_is_given(stage: Stage, receiver: Endpoint):
    webhook = await made(stage, receiver.url)
    receiver.reply = lambda _: Reply(status=429, headers={"retry-after": "3600"})
    await stage.say(uploaded(image_id(1)))
    await until_delivery(stage, webhook, status="pending", attempts=1)
    heard = len(receiver.requests)
    await stage.say(uploaded(image_id(2)))
    delivery = await until_delivery(stage, webhook, status="pending", attempts=1)
    assert delivery["next_at"] > delivery["last_at"]
    await until_shown(stage, webhook, pending=1)
    assert len(receiver.requests) == heard  # not even the other fact
