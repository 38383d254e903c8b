"""HTTP of webhooks: parse, call, answer."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response, delete, get, patch, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, SkipValidation
from msgspec import UNSET

from metadata_service.openapi import operation
from metadata_service.parameters import Parameter, read
from metadata_service.webhooks.office import Change, NewWebhook, Office
from metadata_service.webhooks.records import Status
from metadata_service.webhooks.views import (
    DeliveryList,
    DeliveryView,
    WebhookList,
    WebhookView,
    delivery_view,
    webhook_view,
)

__all__ = ["ROUTES", "provide_office"]

AnyRequest = Request[Any, Any, Any]
GivenOffice = NamedDependency[SkipValidation[Office]]
TAGS = ["webhooks"]
PAGE = 50
#: Nothing larger than this is a webhook.
MAX_BODY_BYTES = 32 * 1024

PARAMETERS: dict[str, Parameter] = {
    row.name: row
    for row in (
        Parameter(name="status", type=Status, description="deliveries that have come so far"),
        Parameter(
            name="limit",
            type=Annotated[int, msgspec.Meta(ge=1, le=200)],
            description="deliveries on a page",
            default=PAGE,
        ),
        Parameter(
            name="cursor",
            type=Annotated[str, msgspec.Meta(max_length=200)],
            description="`next` of the page before",
        ),
    )
}


def _spec(kind: Any, description: str) -> ResponseSpec:
    return ResponseSpec(kind, generate_examples=False, description=description)


@post(
    "/metadata/webhooks",
    request_max_body_size=MAX_BODY_BYTES,
    responses={201: _spec(WebhookView, "Made, with its secret and what came of a first ping")},
    summary="Make a webhook",
    tags=TAGS,
)
async def create_webhook(
    request: AnyRequest, data: JSONBody[NewWebhook], office: GivenOffice
) -> Response[bytes]:
    """Tell an HTTP endpoint of facts from now on, each as a signed CloudEvent.

    The secret is shown in this answer and never again. A ping is sent at once; whether it arrives
    does not matter for the answer's status.
    """
    read(request.query_params.multi_items(), {})
    webhook, ping = await office.create(data)
    view = webhook_view(webhook, await office.progress(webhook), secret=True, ping=ping)
    return _json(view, 201, {"location": f"/metadata/webhooks/{webhook.webhook_id}"})


@get(
    "/metadata/webhooks",
    responses={200: _spec(WebhookList, "All of them, without their secrets")},
    summary="All webhooks",
    tags=TAGS,
)
async def list_webhooks(request: AnyRequest, office: GivenOffice) -> Response[bytes]:
    """Return all webhooks, oldest first."""
    read(request.query_params.multi_items(), {})
    held = sorted(
        (webhook for _, webhook in (await office.shelf.all()).values()),
        key=lambda webhook: webhook.created_at,
    )
    items = [webhook_view(webhook, await office.progress(webhook)) for webhook in held]
    return _json(WebhookList(items=items, count=len(items)))


@get(
    "/metadata/webhooks/{webhook_id:str}",
    responses={200: _spec(WebhookView, "The webhook, without its secret")},
    summary="One webhook",
    tags=TAGS,
)
async def show_webhook(
    request: AnyRequest, webhook_id: FromPath[str], office: GivenOffice
) -> Response[bytes]:
    """Return a webhook, whether it works, and if it does not, since when and why."""
    read(request.query_params.multi_items(), {})
    webhook = await office.shelf.get(webhook_id)
    return _json(webhook_view(webhook, await office.progress(webhook)))


@patch(
    "/metadata/webhooks/{webhook_id:str}",
    request_max_body_size=MAX_BODY_BYTES,
    responses={200: _spec(WebhookView, "As it is now; with its secret if that was changed")},
    summary="Change, pause or resume a webhook, or give it a new secret",
    tags=TAGS,
)
async def change_webhook(
    request: AnyRequest,
    webhook_id: FromPath[str],
    data: JSONBody[Change],
    office: GivenOffice,
) -> Response[bytes]:
    """Change what is given; what is left out stays as it is.

    `"secret": null` makes a new secret, which is shown in this answer.
    """
    read(request.query_params.multi_items(), {})
    webhook = await office.change(webhook_id, data)
    shown = data.secret is not UNSET
    return _json(webhook_view(webhook, await office.progress(webhook), secret=shown))


@delete(
    "/metadata/webhooks/{webhook_id:str}",
    status_code=204,
    summary="Remove a webhook",
    tags=TAGS,
)
async def remove_webhook(
    request: AnyRequest, webhook_id: FromPath[str], office: GivenOffice
) -> None:
    """Forget a webhook, its secret and its deliveries."""
    read(request.query_params.multi_items(), {})
    await office.remove(webhook_id)


@post(
    "/metadata/webhooks/{webhook_id:str}/ping",
    status_code=200,
    responses={200: _spec(DeliveryView, "What came of it")},
    summary="Send a signed test event now",
    tags=TAGS,
)
async def ping_webhook(
    request: AnyRequest, webhook_id: FromPath[str], office: GivenOffice
) -> Response[bytes]:
    """Send an event of type `webhooks.v1.ping`, and return what came of it."""
    read(request.query_params.multi_items(), {})
    return _json(delivery_view(await office.ping(await office.shelf.get(webhook_id))))


@get(
    "/metadata/webhooks/{webhook_id:str}/deliveries",
    operation_class=operation(PARAMETERS),
    responses={200: _spec(DeliveryList, "A page, newest first")},
    summary="What was delivered, what was not, and why",
    tags=TAGS,
)
async def list_deliveries(
    request: AnyRequest, webhook_id: FromPath[str], office: GivenOffice
) -> Response[bytes]:
    """Return the last deliveries of a webhook; they are kept for a week, and only so many."""
    given = read(request.query_params.multi_items(), PARAMETERS)
    await office.shelf.get(webhook_id)
    page, following = await office.shelf.page(
        webhook_id, status=given["status"], limit=given["limit"], cursor=given["cursor"]
    )
    items = [delivery_view(delivery) for delivery in page]
    return _json(DeliveryList(items=items, next=following, count=len(items)))


@post(
    "/metadata/webhooks/{webhook_id:str}/deliveries/{delivery_id:str}/redeliver",
    status_code=200,
    responses={200: _spec(DeliveryView, "What came of it")},
    summary="Send a delivery once more, now",
    tags=TAGS,
)
async def redeliver(
    request: AnyRequest,
    webhook_id: FromPath[str],
    delivery_id: FromPath[str],
    office: GivenOffice,
) -> Response[bytes]:
    """Send it under the same id, with a new timestamp; one attempt, whose outcome is returned.

    410 when the log has a newer state of what it was about: that has a delivery of its own.
    """
    read(request.query_params.multi_items(), {})
    return _json(delivery_view(await office.redeliver(webhook_id, delivery_id)))


ROUTES = [
    create_webhook,
    list_webhooks,
    show_webhook,
    change_webhook,
    remove_webhook,
    ping_webhook,
    list_deliveries,
    redeliver,
]


def provide_office(state: State) -> Office:
    """Return what does the work."""
    office: Office = state.office
    return office


def _json(
    body: object, status: int = 200, headers: dict[str, str] | None = None
) -> Response[bytes]:
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type=MediaType.JSON,
        headers={"cache-control": "no-store", **(headers or {})},
    )
