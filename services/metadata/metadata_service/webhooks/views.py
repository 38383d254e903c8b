"""What the API shows of webhooks: everything but the secret, which is shown when it is made."""

from __future__ import annotations

from datetime import datetime

import msgspec

from metadata_service.webhooks.records import Delivery, Progress, Status, Webhook

__all__ = [
    "DeliveryList",
    "DeliveryView",
    "WebhookList",
    "WebhookView",
    "delivery_view",
    "webhook_view",
]


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one webhook; `id` is the header `webhook-id`, the same in every attempt."""

    id: str
    webhook_id: str
    type: str
    image_id: str | None
    sequence: int
    status: Status
    attempts: int
    first_at: datetime
    last_at: datetime
    next_at: datetime | None
    status_code: int | None
    error: str | None
    duration_ms: float


class WebhookView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A webhook; `secret` is there in the answer to its creation or rotation only.

    `pending`: deliveries that wait to be tried again; `failing_since`: when the first failed since
    one succeeded; `ping`: what came of the test event that creation sends.
    """

    id: str
    url: str
    facts: list[str]
    description: str
    enabled: bool
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime
    pending: int
    failing_since: datetime | None
    last_delivered_at: datetime | None
    secret: str | None = None
    ping: DeliveryView | None = None


class WebhookList(msgspec.Struct, frozen=True, kw_only=True):
    """All webhooks, oldest first."""

    items: list[WebhookView]
    count: int


class DeliveryList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of deliveries, newest first; `next` is the cursor of the next page, or null."""

    items: list[DeliveryView]
    next: str | None
    count: int


def delivery_view(delivery: Delivery) -> DeliveryView:
    """Return what is shown of a delivery."""
    return DeliveryView(
        id=delivery.delivery_id,
        webhook_id=delivery.webhook_id,
        type=delivery.type,
        image_id=delivery.subject.split(".")[2] if delivery.subject else None,
        sequence=delivery.sequence,
        status=delivery.status,
        attempts=delivery.attempts,
        first_at=delivery.first_at,
        last_at=delivery.last_at,
        next_at=delivery.next_at,
        status_code=delivery.status_code,
        error=delivery.error,
        duration_ms=delivery.duration_ms,
    )


def webhook_view(
    webhook: Webhook, progress: Progress, *, secret: bool = False, ping: Delivery | None = None
) -> WebhookView:
    """Return what is shown of a webhook."""
    return WebhookView(
        id=webhook.webhook_id,
        url=webhook.url,
        facts=webhook.facts,
        description=webhook.description,
        enabled=webhook.enabled,
        disabled_reason=webhook.disabled_reason,
        created_at=webhook.created_at,
        updated_at=webhook.updated_at,
        pending=progress.pending,
        failing_since=progress.failing_since,
        last_delivered_at=progress.last_delivered_at,
        secret=webhook.secret if secret else None,
        ping=None if ping is None else delivery_view(ping),
    )
