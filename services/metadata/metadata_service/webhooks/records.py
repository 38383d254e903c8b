"""What is kept about webhooks: each one, how far it has come, and what was delivered to it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

__all__ = ["PING", "Delivery", "Progress", "Status", "Webhook"]

#: pending: tried again at `next_at`; failed: given up; superseded: a newer state of the same
#: subject is in the log, and is delivered instead (or the image is gone).
Status: TypeAlias = Literal["pending", "delivered", "failed", "superseded"]
#: The type of the event that tries a webhook out.
PING = "webhooks.v1.ping"


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint and what it is told of; `begins_after`: the log's sequence when it was made."""

    webhook_id: str
    url: str
    facts: list[str]
    secret: str
    description: str
    begins_after: int
    created_at: datetime
    updated_at: datetime
    enabled: bool = True
    disabled_reason: str | None = None

    def __repr__(self) -> str:
        return f"Webhook({self.webhook_id})"  # a secret is not for logs and tracebacks


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a webhook has come: every fact up to `place` was tried at least once.

    `failing_since`: when the first attempt failed since one succeeded.
    """

    place: int
    pending: int = 0
    failing_since: datetime | None = None
    last_delivered_at: datetime | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one webhook; `delivery_id` is its `webhook-id`, the same in every attempt.

    `status_code`, `error` and `duration_ms` are those of the last attempt.
    """

    delivery_id: str
    webhook_id: str
    type: str
    subject: str
    sequence: int
    status: Status
    attempts: int
    first_at: datetime
    last_at: datetime
    next_at: datetime | None = None
    status_code: int | None = None
    error: str | None = None
    duration_ms: float = 0.0
