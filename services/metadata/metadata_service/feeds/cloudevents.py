"""A fact as a CloudEvent in JSON (structured mode), for those who have no NATS."""

from __future__ import annotations

from typing import Any

import msgspec
from imagesystem.bus import Received
from imagesystem.events import Event, encode, event_type, image_of

__all__ = ["CONTENT_TYPE", "CloudEvent", "event_id", "structured"]

CONTENT_TYPE = "application/cloudevents+json"


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """CloudEvents 1.0, JSON format, with the extensions `sequence` and `traceparent`.

    `sequence`: the fact's place in the log, a decimal number; what is newer has a higher one.
    """

    specversion: str
    id: str
    type: str
    source: str
    subject: str
    time: str
    datacontenttype: str
    sequence: str = ""
    traceparent: str | None = None
    data: msgspec.Raw | dict[str, Any]


def event_id(received: Received[Any]) -> str:
    """Return the id of the event: the same for whoever is told of it, and however often."""
    return received.headers.get("ce-id") or str(received.sequence)


def structured(received: Received[Any]) -> bytes:
    """Return the fact as a CloudEvent: one line of JSON."""
    event: Event = received.event
    headers = received.headers
    published = received.published_at.isoformat().replace("+00:00", "Z")
    return msgspec.json.encode(
        CloudEvent(
            specversion="1.0",
            id=event_id(received),
            type=event_type(received.subject),
            source=headers.get("ce-source", "/image-system"),
            subject=image_of(received.subject) or received.subject,
            time=headers.get("ce-time", published),
            datacontenttype="application/json",
            sequence=str(received.sequence),
            traceparent=headers.get("traceparent"),
            data=msgspec.Raw(encode(event)),
        )
    )
