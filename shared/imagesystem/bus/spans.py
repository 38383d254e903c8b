"""What spans of publishing and handling are called and say (OpenTelemetry: messaging spans)."""

from __future__ import annotations

from imagesystem.bus.messages import Delivery
from imagesystem.events import event_type, image_of
from imagesystem.topology import Consumer
from imagesystem.tracing import Attributes, Kind, Span

__all__ = ["handled", "published", "settled"]

#: Outcomes after which the message was not handled.
FAILURES = {"retried", "dead", "returned"}


def published(subject: str, event_id: str, size: int) -> tuple[str, Kind, Attributes]:
    """Return name, kind and attributes of the span of a publish; `size`: bytes of the body."""
    what = event_type(subject)
    attributes = _said(subject, what) | {
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.message.id": event_id,
        "messaging.message.body.size": size,
    }
    return f"publish {what}", "producer", attributes


def handled(delivery: Delivery, consumer: Consumer) -> tuple[str, Kind, Attributes]:
    """Return name, kind and attributes of the span of one delivery, from receipt to its end."""
    what = event_type(delivery.subject)
    attributes = _said(delivery.subject, what) | {
        "messaging.operation.name": "handle",
        "messaging.operation.type": "process",
        "messaging.message.id": delivery.headers.get("ce-id", ""),
        "messaging.message.body.size": len(delivery.body),
        "messaging.consumer.group.name": consumer.name,
        "imagesystem.attempts": delivery.attempts,
        "imagesystem.sequence": delivery.sequence,
    }
    return f"handle {what}", "consumer", attributes


def settled(span: Span, outcome: str) -> None:
    """Say on the span of a delivery what became of it."""
    span.set({"imagesystem.outcome": outcome})
    if outcome in FAILURES:
        span.failed(outcome)


def _said(subject: str, what: str) -> dict[str, str | int | float | bool]:
    image_id = image_of(subject)
    return {
        "messaging.system": "nats",
        "messaging.destination.name": subject,
        "messaging.destination.template": what,
        **({"imagesystem.image_id": image_id} if image_id else {}),
    }
