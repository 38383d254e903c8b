"""docs/reference/events.md, from the structs of the contract."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import msgspec
from imagesystem import asyncapi
from imagesystem.asyncapi import HEADERS, Entry, entries
from imagesystem.events import DeadLetter
from msgspec import inspect

from generators.markdown import code, default_of, first_paragraph, table, type_of

__all__ = ["documents", "page"]

INTRO = """\
# Events

Every event is a CloudEvent 1.0 in NATS's binary content mode: attributes in headers, the body is
JSON. A subject is enough to know the type of its body. Ignore fields that you do not know: new
ones appear. What would break a reader gets a new version of the subject.

For programs: [AsyncAPI 3](events/asyncapi.json) (also served at `/metadata/events/asyncapi.json`)
and a [JSON Schema](events/schemas/) per event.

What is promised about delivery is in [Delivery](../explanation/delivery.md). How to listen is in
[Subscribe](../how-to/subscribe.md).
"""


def page(root: Path) -> str:
    """Return the page."""
    del root
    known = entries()
    by_stream = {
        name: [entry for entry in known if entry.stream.name == name]
        for name in ("IMAGES", "COMMANDS", "DEAD_LETTERS")
    }
    parts = [
        INTRO,
        table(("header", ""), [(code(name), text) for name, text in HEADERS.items()]),
        "## Overview\n",
        table(("subject", "type", "said by", ""), [_row(entry) for entry in known]),
        "## Facts\n",
        "What happened to an image. The stream `IMAGES` keeps the latest per subject, for ever.\n",
        *(_event(entry) for entry in by_stream["IMAGES"]),
        "## Commands\n",
        "What is asked for. The stream `COMMANDS` keeps each until it is handled.\n",
        *(_event(entry) for entry in by_stream["COMMANDS"]),
        "## Dead letters\n",
        "What could not be handled. The stream `DEAD_LETTERS` keeps each for 30 days.\n",
        *(_event(entry) for entry in by_stream["DEAD_LETTERS"]),
        "## Parts of events\n",
        *(_struct(kind) for kind in _parts([entry.kind for entry in known])),
    ]
    return "\n".join(parts)


def documents() -> dict[str, str]:
    """Return the machine-readable contract by file name: AsyncAPI, and a schema per event."""
    found = {"asyncapi.json": asyncapi.document(version("imagesystem"))} | {
        f"schemas/{entry.type}.json": asyncapi.schema(entry) for entry in entries()
    }
    return {name: json.dumps(each, indent=2) for name, each in found.items()}


def _shown(entry: Entry) -> str:
    return entry.subject.replace("{", "<").replace("}", ">")


def _row(entry: Entry) -> tuple[str, str, str, str]:
    name = f"[{entry.kind.__name__}](#{entry.kind.__name__.lower()})"
    said_by = "whoever gave up" if entry.kind is DeadLetter else ", ".join(entry.said_by)
    return code(_shown(entry)), name, said_by, first_paragraph(entry.kind.__doc__)


def _event(entry: Entry) -> str:
    heard = ", ".join(code(name) for name in entry.heard_by) or "nobody in the system"
    told = (
        f"Subject `{_shown(entry)}`, `ce-type` `{entry.type}`, heard by {heard}. "
        f"[JSON Schema](events/schemas/{entry.type}.json).\n"
    )
    return _struct(entry.kind, told)


def _struct(kind: type[msgspec.Struct], *told: str) -> str:
    lines = [f"### {kind.__name__}\n", *told]
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
