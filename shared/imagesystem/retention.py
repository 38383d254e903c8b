"""Retention: how much each store may hold and for how long, as its owner's settings say.

What is declared in `imagesystem.topology` names the settings; they are applied whenever the
owner starts, to what exists as well. A limit below what is stored deletes nothing where a full
store refuses: it takes no more until enough is deleted. Where the oldest give way, they go.
"""

from __future__ import annotations

import msgspec

from imagesystem.settings import ServiceSettings
from imagesystem.topology import BUCKETS, DAY_S, STREAMS, Bucket, Stream

__all__ = ["SETTINGS", "bucket_of", "stream_of"]

#: The environment variable that bounds each store, by the name of its stream.
SETTINGS: dict[str, str] = {
    **{stream.name: stream.bytes_setting.upper() for stream in STREAMS},
    **{f"OBJ_{bucket.name}": bucket.bytes_setting.upper() for bucket in BUCKETS},
}


def stream_of(declared: Stream, settings: ServiceSettings) -> Stream:
    """Return the stream with the limits that its owner's settings give it."""
    days = getattr(settings, declared.days_setting, None) if declared.days_setting else None
    return msgspec.structs.replace(
        declared,
        max_bytes=_bytes(declared, settings),
        max_age_s=declared.max_age_s if days is None else days * DAY_S,
    )


def bucket_of(declared: Bucket, settings: ServiceSettings) -> Bucket:
    """Return the bucket with the limit that its owner's settings give it."""
    return msgspec.structs.replace(declared, max_bytes=_bytes(declared, settings))


def _bytes(declared: Stream | Bucket, settings: ServiceSettings) -> int:
    """Return the limit in bytes; the setting's 0, none of its own, is -1 to the server."""
    found: int | None = getattr(settings, declared.bytes_setting, None)
    return declared.max_bytes if found is None else found or -1
