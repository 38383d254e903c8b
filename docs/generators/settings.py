"""docs/reference/settings.md, from the settings structs and .env.example."""

from __future__ import annotations

from pathlib import Path

import msgspec
from imagesystem.settings import ServiceSettings

from generators.markdown import bounds_of, code, description_of, table, type_of
from generators.services import SERVICES, settings_of

__all__ = ["page"]

INTRO = """\
# Settings

Services are configured by environment variables. They are read once, at start. Every wrong value
is reported, not only the first, and the exit status is then 2. An empty value counts as absent.

For any variable `X`, `X_FILE` may name a file to read the value from. Containers are handed their
secrets that way.

A name that ends in `_BYTES` is in bytes, one that ends in `_S` in seconds.
"""
STACK = """\
## The embedded stack

`image-system up` passes its environment on to every service, so that each of the variables above
can be set there. It sets `NATS_URL`, `HTTP_HOST`, `HTTP_PORT` and `LOG_FORMAT` itself. These are
its own:

| variable | default | |
|---|---|---|
| `MONGODB_URL` | | somebody else's MongoDB; then no mongod is started |
| `NATS_SYNC` | `120s` | seconds between forced writes to disk, with the unit, or `always` |
| `NATS_MAX_FILE_STORE` | three quarters of the room | bytes that NATS may keep on disk |

The room is what is stored already and what is free. What `NATS_SYNC` means is in
[Durability](../explanation/durability.md).

What is asked for on the command line is in [CLI](cli.md).
"""


def page(root: Path) -> str:
    """Return the page."""
    parts = [INTRO, "## Every service\n", _fields(ServiceSettings, set())]
    common = {field.name for field in msgspec.structs.fields(ServiceSettings)}
    for service in SERVICES:
        parts += [f"## {service}\n", _fields(settings_of(service), common)]
    parts.append(STACK)
    parts += ["## Compose\n", COMPOSE, _compose((root / ".env.example").read_text())]
    return "\n".join(parts)


def _fields(kind: type[msgspec.Struct], known: set[str]) -> str:
    rows = [
        (
            code(field.name.upper()),
            _kind(field),
            _default(field),
            bounds_of(field.type),
            description_of(field.type),
        )
        for field in msgspec.structs.fields(kind)
        if field.name not in known
    ]
    return table(("variable", "type", "default", "allowed", ""), rows)


def _kind(field: msgspec.structs.FieldInfo) -> str:
    """Return the type of a setting; of a choice, that of its values."""
    words = type_of(field.type)
    if not words.startswith("`"):
        return words
    return "integer" if isinstance(field.default, int) else "text"


def _default(field: msgspec.structs.FieldInfo) -> str:
    return "required" if field.required else code(field.default)


COMPOSE = """\
`docker-compose.yml` takes these from `.env`. An empty one has the default of the service, or is
made at the first start.
"""


def _compose(text: str) -> str:
    """Return the variables of .env.example, each with the comment above it."""
    rows: list[tuple[str, str, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        if line.startswith("#"):
            comment = [*(comment if not rows or comment[:1] != ["〃"] else []), line.lstrip("# ")]
        elif "=" in line:
            name, _, value = line.partition("=")
            rows.append((code(name), code(value), " ".join(comment)))
            comment = ["〃"]
        else:
            comment = []
    return table(("variable", "in .env.example", ""), rows)
