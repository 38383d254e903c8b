"""Events on the wire: CloudEvents 1.0 in NATS binary mode, JSON bodies."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

import msgspec
from nats.aio.msg import Msg

from imagesystem import ids, tracing
from imagesystem.bus.port import Received
from imagesystem.errors import UndecodableEvent
from imagesystem.events import Event, decode, event_type, image_of

__all__ = ["Delivery", "headers_for", "stored"]

E = TypeVar("E", bound=Event)


def headers_for(subject: str, event_id: str, source: str) -> dict[str, str]:
    """Return the headers of an event: CloudEvents attributes, deduplication id, trace."""
    return {
        "Nats-Msg-Id": event_id,
        "ce-specversion": "1.0",
        "ce-id": event_id,
        "ce-type": event_type(subject),
        "ce-source": f"/{source}",
        "ce-subject": image_of(subject) or subject,
        "ce-time": ids.now().isoformat().replace("+00:00", "Z"),
        "content-type": "application/json",
        **tracing.headers(),
    }


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message as a consumer got it: not yet decoded."""

    subject: str
    body: bytes
    sequence: int
    attempts: int
    published_at: datetime
    headers: dict[str, str]

    @classmethod
    def of(cls, message: Msg) -> Delivery:
        """Read what the server says about the message from its reply subject."""
        metadata = message.metadata
        return cls(
            subject=message.subject,
            body=message.data,
            sequence=metadata.sequence.stream,
            attempts=metadata.num_delivered,
            published_at=metadata.timestamp,
            headers=dict(message.headers or {}),
        )

    def decoded(self) -> Received[Event]:
        """Return the event, typed by its subject; raises `UndecodableEvent`.

        What says that it is of another version or type than its subject is not guessed at.
        """
        for header, known in (("ce-specversion", "1.0"), ("ce-type", event_type(self.subject))):
            if (said := self.headers.get(header, known)) != known:
                raise UndecodableEvent(
                    f"{self.subject}: {header} is {said[:100]!r}, not {known!r}",
                    code="unknown_version",
                )
        return Received(
            event=decode(self.subject, self.body),
            subject=self.subject,
            sequence=self.sequence,
            published_at=self.published_at,
            attempts=self.attempts,
            headers=self.headers,
        )


def stored(message: Msg) -> Received[Event]:
    """Return the event that a direct get answered."""
    headers = dict(message.headers or {})
    subject = headers.pop("Nats-Subject")
    return Received(
        event=decode(subject, message.data),
        subject=subject,
        sequence=int(headers.pop("Nats-Sequence")),
        published_at=_time(headers.pop("Nats-Time-Stamp")),
        headers=headers,
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)  # of nanoseconds it leaves out what Python has no room for
