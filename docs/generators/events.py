"""docs/reference/events.md, from the structs of the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from imagesystem.bus.messages import headers_for
from imagesystem.events import COMMANDS, FACTS, INFERRED, DeadLetter, event_type
from imagesystem.permissions import SAYS
from msgspec import inspect

from generators.markdown import code, default_of, first_paragraph, table, type_of

__all__ = ["page"]

INTRO = """\
# Events

Every event is a CloudEvent 1.0 in NATS's binary content mode: attributes in headers, the body is
JSON. A subject is enough to know the type of its body. Ignore fields that you do not know: new
ones appear. What would break a reader gets a new version of the subject.

What is promised about delivery is in [Delivery](../explanation/delivery.md). How to listen is in
[Subscribe](../how-to/subscribe.md).
"""
HEADERS = {
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


def page(root: Path) -> str:
    """Return the page."""
    del root
    said = headers_for("images.v1.x.uploaded", "x", "registry")
    facts: list[type[msgspec.Struct]] = [*FACTS.values(), *INFERRED.values()]
    commands: list[type[msgspec.Struct]] = [*COMMANDS.values()]
    everything: list[type[msgspec.Struct]] = [*facts, *commands, DeadLetter]
    parts = [
        INTRO,
        table(("header", ""), [(code(name), HEADERS[name]) for name in said]),
        "## Overview\n",
        table(
            ("subject", "type", "said by", ""),
            [_row(kind) for kind in everything],
        ),
        "## Facts\n",
        "What happened to an image. The stream `IMAGES` keeps the latest per subject, for ever.\n",
        *(_struct(kind) for kind in facts),
        "## Commands\n",
        "What is asked for. The stream `COMMANDS` keeps each until it is handled.\n",
        *(_struct(kind) for kind in commands),
        "## Dead letters\n",
        "What could not be handled. The stream `DEAD_LETTERS` keeps each for 30 days.\n",
        _struct(DeadLetter),
        "## Parts of events\n",
        *(_struct(kind) for kind in _parts(everything)),
    ]
    return "\n".join(parts)


def _subject(kind: type[msgspec.Struct]) -> str:
    """Return the subject of a kind of event, with placeholders."""
    task = next((name for name, each in INFERRED.items() if each is kind), None)
    given: dict[str, Any] = {
        field.name: f"<{field.name}>" for field in msgspec.structs.fields(kind) if field.required
    }
    if task is not None:
        given["task"] = task
    subject: str = kind(**given).subject  # type: ignore[attr-defined]
    return subject


def _speakers(kind: type[msgspec.Struct]) -> str:
    """Return the services whose permissions allow the subject."""
    if kind is DeadLetter:
        return "whoever gave up"
    tokens = _subject(kind).split(".")
    return ", ".join(
        service
        for service, subjects in SAYS.items()
        if any(_matches(subject.split("."), tokens) for subject in subjects)
    )


def _matches(pattern: list[str], tokens: list[str]) -> bool:
    return len(pattern) == len(tokens) and all(
        allowed in ("*", token) or token.startswith("<")
        for allowed, token in zip(pattern, tokens, strict=True)
    )


def _row(kind: type[msgspec.Struct]) -> tuple[str, str, str, str]:
    name = f"[{kind.__name__}](#{kind.__name__.lower()})"
    return code(_subject(kind)), name, _speakers(kind), first_paragraph(kind.__doc__)


def _struct(kind: type[msgspec.Struct]) -> str:
    lines = [f"### {kind.__name__}\n"]
    if hasattr(kind, "subject"):
        subject = _subject(kind)
        lines.append(f"Subject `{subject}`, `ce-type` `{event_type(subject)}`.\n")
    lines += [
        " ".join(paragraph.split()) + "\n" for paragraph in (kind.__doc__ or "").split("\n\n")
    ]
    rows = [
        (code(field.encode_name), type_of(field.type), default_of(field))
        for field in msgspec.structs.fields(kind)
    ]
    lines.append(table(("field", "type", "default"), rows))
    return "\n".join(lines)


def _parts(kinds: list[type[msgspec.Struct]]) -> list[type[msgspec.Struct]]:
    """Return the structs that fields of `kinds` are made of, in the order met."""
    found: dict[type[msgspec.Struct], None] = {}

    def visit(info: inspect.Type) -> None:
        if isinstance(info, inspect.Metadata):
            visit(info.type)
        elif isinstance(info, inspect.StructType):
            if info.cls not in found and info.cls not in kinds:
                found[info.cls] = None
            for field in info.fields:
                visit(field.type)
        elif isinstance(info, inspect.UnionType):
            for each in info.types:
                visit(each)
        elif isinstance(info, inspect.ListType):
            visit(info.item_type)
        elif isinstance(info, inspect.DictType):
            visit(info.value_type)

    for kind in kinds:
        visit(inspect.type_info(kind))
    return list(found)
