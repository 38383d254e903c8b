"""docs/reference/limits.md: whatever bounds something, from settings, topology and servers."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from imagesystem.objects.port import CHUNK_BYTES, NAME_BYTES
from imagesystem.settings import ServiceSettings
from imagesystem.topology import BUCKETS, STREAMS

from generators.markdown import code, description_of, table
from generators.services import SERVICES, settings_of

__all__ = ["page"]

INTRO = """\
# Limits

A request that exceeds a limit is answered with a problem that names the limit, its value
(`allowed`) and what was found (`actual`):

```json
{"status": 422, "code": "too_many_pixels",
 "limit": "MAX_PIXELS", "allowed": 100000000, "actual": 2500000000}
```

## Set by environment variables

All [settings](settings.md) that bound something. A status in brackets is what a request gets.
"""
OBJECTS = """\
An object is stored in chunks of {chunk} bytes. Its name has at most {name} bytes of UTF-8.
"""
BOUNDING = re.compile(r"(^max_|_max$|_max_s$|deadline|timeout|_bytes$|_days$|_pool$)")
NATS_SETTING = re.compile(r"^(max_\w+|write_deadline): \"?([\w.]+)\"?$", re.MULTILINE)
TRAEFIK_SETTING = re.compile(r"^\s+(\w*[tT]ime[oO]ut): (\S+)(?: # (.*))?$", re.MULTILINE)
NATS_MEANING = {
    "max_payload": "a message, headers included",
    "max_connections": "connections of clients",
    "max_control_line": "a subject with its reply",
    "max_pending": "what a slow client may leave unread",
    "max_subscriptions": "subscriptions of one client",
    "write_deadline": "time a client has to take what is sent to it",
    "max_file_store": "disk for all streams and buckets",
    "max_memory_store": "memory for streams in memory",
}


def page(root: Path) -> str:
    """Return the page."""
    nats = (root / "deploy/nats/nats-server.conf").read_text()
    traefik = (root / "traefik/traefik.yml").read_text()
    streams = [
        (
            code(stream.name),
            stream.max_message_bytes,
            "all" if stream.per_subject < 0 else stream.per_subject,
            f"{stream.max_age_s / 86400:g} days" if stream.max_age_s else "for ever",
            "none of its own" if stream.max_bytes < 0 else stream.max_bytes,
            code(stream.bytes_setting.upper()),
            "the oldest give way" if stream.evicts else "writes are refused (507)",
        )
        for stream in STREAMS
    ]
    buckets = [
        (
            code(bucket.name),
            "none of its own" if bucket.max_bytes < 0 else bucket.max_bytes,
            code(bucket.bytes_setting.upper()),
            "the oldest give way" if bucket.cache else "writes are refused (507)",
        )
        for bucket in BUCKETS
    ]
    return "\n".join(
        [
            INTRO,
            table(("setting", "service", "default", ""), _settings()),
            "## Streams\n",
            table(
                (
                    "stream", "bytes of a message", "messages per subject", "kept", "bytes",
                    "setting", "when it is full",
                ),
                streams,
            ),
            "## Buckets\n",
            table(("bucket", "bytes", "setting", "when it is full"), buckets),
            OBJECTS.format(chunk=CHUNK_BYTES, name=NAME_BYTES),
            "## nats-server\n",
            table(
                ("setting", "value", ""),
                [
                    (code(name), code(value), NATS_MEANING[name])
                    for name, value in NATS_SETTING.findall(nats)
                ],
            ),
            "The disk is bounded by `NATS_MAX_FILE_STORE` ([settings](settings.md)).\n",
            "## Traefik\n",
            table(
                ("setting", "value", ""),
                [(code(name), code(value), why) for name, value, why in
                 TRAEFIK_SETTING.findall(traefik)],
            ),
        ]
    )  # fmt: skip


def _settings() -> list[tuple[str, str, str, str]]:
    common = {field.name for field in msgspec.structs.fields(ServiceSettings)}
    return [
        (code(field.name.upper()), service, code(field.default), description_of(field.type))
        for service in SERVICES
        for field in msgspec.structs.fields(settings_of(service))
        if field.name not in common and BOUNDING.search(field.name)
    ]
