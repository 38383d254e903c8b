"""The event contract as documents: AsyncAPI 3.0, and a JSON Schema (2020-12) per event.

Both are made from the structs that encode and decode, from the streams, and from what every
service may say and hears, so that they cannot say anything else than the system does.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from imagesystem.events import COMMANDS, FACTS, INFERRED, DeadLetter, event_type
from imagesystem.permissions import SAYS
from imagesystem.topology import CONSUMERS, STREAMS, Stream

__all__ = ["HEADERS", "Entry", "document", "entries", "schema"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: Names what a schema is about; nothing is fetched from there.
SCHEMA_ID = "urn:image-system:{type}"

#: The headers of every event: CloudEvents 1.0 in NATS's binary content mode, and what they mean.
HEADERS: dict[str, str] = {
    "Nats-Msg-Id": "the same as `ce-id`; the server drops repetitions within two minutes",
    "ce-specversion": "`1.0`",
    "ce-id": "unique per event, the same for every delivery of it",
    "ce-type": "the subject without ids, as `images.v1.uploaded`",
    "ce-source": "the service that says it, as `/registry`",
    "ce-subject": "the image id, where it is about an image",
    "ce-time": "RFC 3339, UTC",
    "content-type": "`application/json`",
    "traceparent": "W3C trace context: one trace from the request to the last fact",
}

PROMISE = """\
Facts (`images.v1.…`) are the latest state of everything known about every image; commands and
dead letters are the system's own and are listed so that logs and queues can be read.

Delivery is at least once. The latest state per subject can be replayed; states in between may be
skipped. Ignore fields that you do not know: new ones appear. A field is never removed, renamed,
given another type or made required: what would need that becomes a new version of the subject.
"""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of event.

    `subject` has its ids in braces (`images.v1.{image_id}.uploaded`), `type` is the CloudEvents
    type; `said_by` names services, `heard_by` durable consumers.
    """

    kind: type[msgspec.Struct]
    subject: str
    type: str
    stream: Stream
    said_by: tuple[str, ...]
    heard_by: tuple[str, ...]

    @property
    def description(self) -> str:
        """What the event means, in Markdown."""
        return _text(self.kind.__doc__)

    @property
    def pattern(self) -> str:
        """The subject to subscribe to for all events of this kind."""
        return re.sub(r"\{\w+\}", "*", self.subject)


def entries() -> list[Entry]:
    """Return every kind of event: facts, commands, the dead letter."""
    kinds: list[tuple[type[msgspec.Struct], str | None]] = [
        *((kind, None) for kind in FACTS.values()),
        *((kind, task) for task, kind in INFERRED.items()),
        *((kind, None) for kind in COMMANDS.values()),
        (DeadLetter, None),
    ]
    return [_entry(kind, task) for kind, task in kinds]


def _entry(kind: type[msgspec.Struct], task: str | None) -> Entry:
    given: dict[str, Any] = {
        field.name: f"{{{field.name}}}" for field in msgspec.structs.fields(kind) if field.required
    }
    if task is not None:
        given["task"] = task
    subject: str = kind(**given).subject  # type: ignore[attr-defined]
    tokens = subject.split(".")
    (stream,) = (
        each for each in STREAMS if any(_matches(pattern, tokens) for pattern in each.subjects)
    )
    return Entry(
        kind=kind,
        subject=subject,
        type=event_type(subject),
        stream=stream,
        said_by=tuple(
            service
            for service, subjects in SAYS.items()
            if any(_matches(pattern, tokens) for pattern in subjects)
        )
        if kind is not DeadLetter
        else tuple(sorted({consumer.service for consumer in CONSUMERS.values()})),
        heard_by=tuple(
            consumer.name
            for consumer in CONSUMERS.values()
            if any(_matches(pattern, tokens) for pattern in consumer.subjects)
        ),
    )


def _matches(pattern: str, tokens: list[str]) -> bool:
    """Return whether a subject pattern covers a subject, a placeholder standing for any token."""
    wanted = pattern.split(".")
    if wanted[-1] == ">":
        wanted, tokens = wanted[:-1], tokens[: len(wanted) - 1]
    return len(wanted) == len(tokens) and all(
        allowed in ("*", token) or token.startswith("{")
        for allowed, token in zip(wanted, tokens, strict=True)
    )


def schema(entry: Entry) -> dict[str, Any]:
    """Return the JSON Schema of an event's body, whole in itself (`$defs`)."""
    (root,), parts = msgspec.json.schema_components([entry.kind], ref_template="#/$defs/{name}")
    name = root["$ref"].rpartition("/")[2]
    own = parts.pop(name)
    found: dict[str, Any] = {
        "$schema": DIALECT,
        "$id": SCHEMA_ID.format(type=entry.type),
        **_tidied(own),
    }
    if parts:
        found["$defs"] = {part: _tidied(parts[part]) for part in sorted(parts)}
    return found


def document(version: str) -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document of the contract, `version` being the system's."""
    known = entries()
    _, parts = msgspec.json.schema_components(
        [entry.kind for entry in known], ref_template="#/components/schemas/{name}"
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "image-system events",
            "version": version,
            "description": PROMISE,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "nats": {
                "host": "127.0.0.1:4222",
                "protocol": "nats",
                "description": "NATS JetStream; subscribers have accounts of their own",
                "security": [{"type": "userPassword"}],
            }
        },
        "channels": {entry.type: _channel(entry) for entry in known},
        "operations": {
            f"say.{entry.type}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{entry.type}"},
                "summary": _text(entry.kind.__doc__).partition("\n")[0],
                "tags": [{"name": entry.stream.name}],
            }
            for entry in known
        },
        "components": {
            "messages": {entry.kind.__name__: _message(entry) for entry in known},
            "messageTraits": {"cloudevent": {"headers": _headers()}},
            "schemas": {name: _tidied(parts[name]) for name in sorted(parts)},
        },
    }


def _channel(entry: Entry) -> dict[str, Any]:
    parameters = re.findall(r"\{(\w+)\}", entry.subject)
    channel: dict[str, Any] = {
        "address": entry.subject,
        "description": entry.stream.description,
        "messages": {entry.kind.__name__: {"$ref": f"#/components/messages/{entry.kind.__name__}"}},
        "x-stream": entry.stream.name,
        "x-subscribe-to": entry.pattern,
        "x-said-by": list(entry.said_by),
        "x-heard-by": list(entry.heard_by),
    }
    if parameters:
        channel["parameters"] = {
            name: {"description": f"`{name}` of the body"} for name in parameters
        }
    return channel


def _message(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.type,
        "title": entry.kind.__name__,
        "summary": entry.description.partition("\n")[0],
        "description": entry.description,
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/cloudevent"}],
        "payload": {"$ref": f"#/components/schemas/{entry.kind.__name__}"},
    }


def _headers() -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(HEADERS),
        "properties": {
            name: {"type": "string", "description": description}
            for name, description in HEADERS.items()
        },
    }


def _tidied(part: dict[str, Any]) -> dict[str, Any]:
    """Return a struct's schema with its docstring laid out as Markdown."""
    if "description" in part:
        return part | {"description": _text(part["description"])}
    return part


def _text(doc: str | None) -> str:
    """Return a docstring's paragraphs, one line each."""
    paragraphs = (doc or "").strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
