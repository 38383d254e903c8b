"""How objects lie on the wire: NATS ADR-20, as every other client reads and writes it.

A bucket `b` is the stream `OBJ_b`. The bytes are messages on `$O.b.C.<nuid>`, in order; the
description is one JSON message on `$O.b.M.<base64url(name)>`, which replaces the one before.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import msgspec

from imagesystem import topology
from imagesystem.objects.port import CHUNK_BYTES, ObjectInfo

__all__ = [
    "Ack",
    "ApiError",
    "Layout",
    "decode_ack",
    "decode_info",
    "encode_info",
    "stream_config",
]

DIGEST = "SHA-256="
#: The name of a metadata entry that says: all chunks but the last have the full size.
UNIFORM = "_uniform"
DEDUPLICATION_S = 120


class Layout:
    """The subjects of one bucket, of its bytes and of the API of its stream."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self.stream = f"OBJ_{bucket}"
        self.descriptions = f"$O.{bucket}.M.>"
        self.direct = f"$JS.API.DIRECT.GET.{self.stream}"
        self.message = f"$JS.API.STREAM.MSG.GET.{self.stream}"
        self.purge = f"$JS.API.STREAM.PURGE.{self.stream}"
        self.create_consumer = f"$JS.API.CONSUMER.CREATE.{self.stream}"
        self.delete_consumer = f"$JS.API.CONSUMER.DELETE.{self.stream}"

    def chunks(self, nuid: str) -> str:
        """Return the subject of the bytes."""
        return f"$O.{self.bucket}.C.{nuid}"

    def description(self, name: str) -> str:
        """Return the subject of the description of the object called `name`."""
        return f"$O.{self.bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"


class ApiError(msgspec.Struct, frozen=True):
    """What the JetStream API answers when it refuses; `err_code` says exactly why."""

    code: int = 0
    err_code: int = 0
    description: str = ""


class Ack(msgspec.Struct, frozen=True):
    """What the server answers to a publish, or to a purge (`purged`: messages)."""

    seq: int = 0
    duplicate: bool = False
    purged: int = 0
    error: ApiError | None = None


class _Options(msgspec.Struct):
    max_chunk_size: int | None = CHUNK_BYTES
    link: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET


class _Description(msgspec.Struct):
    name: str
    bucket: str
    nuid: str = ""
    size: int | None = 0
    chunks: int | None = 0
    digest: str | None = ""
    mtime: str | None = ""
    deleted: bool | msgspec.UnsetType = msgspec.UNSET
    metadata: dict[str, str] | msgspec.UnsetType | None = msgspec.UNSET
    options: _Options | None = None


_ack = msgspec.json.Decoder(Ack)
_description = msgspec.json.Decoder(_Description)
_encoder = msgspec.json.Encoder()


def decode_ack(data: bytes) -> Ack:
    """Return the answer to a publish; raises `msgspec.DecodeError`."""
    return _ack.decode(data)


def encode_info(info: ObjectInfo) -> bytes:
    """Return the description as JSON."""
    digest = base64.urlsafe_b64encode(bytes.fromhex(info.digest)).decode()
    metadata = info.metadata | ({UNIFORM: "1"} if info.uniform and not info.deleted else {})
    return _encoder.encode(
        _Description(
            name=info.name,
            bucket=info.bucket,
            nuid=info.nuid,
            size=info.size,
            chunks=info.chunks,
            digest=DIGEST + digest if digest else "",
            mtime=info.modified_at.isoformat().replace("+00:00", "Z"),
            deleted=True if info.deleted else msgspec.UNSET,
            metadata=metadata or msgspec.UNSET,
            options=_Options(max_chunk_size=info.chunk_bytes),
        )
    )


def decode_info(data: bytes, *, sequence: int, time: str) -> ObjectInfo:
    """Return what a description says; `time` is that of its message (RFC 3339).

    Raises `msgspec.DecodeError` or `ValueError` when it is none.
    """
    said = _description.decode(data)
    metadata = dict(said.metadata or {})
    options = said.options or _Options()
    return ObjectInfo(
        bucket=said.bucket,
        name=said.name,
        # A link has no bytes of its own: it reads as an object that is not there.
        nuid="" if options.link else said.nuid,
        size=said.size or 0,
        chunks=said.chunks or 0,
        digest=_hex(said.digest or ""),
        modified_at=_moment(said.mtime or "") or _moment(time) or datetime.now(UTC),
        sequence=sequence,
        deleted=said.deleted is True,
        chunk_bytes=options.max_chunk_size or CHUNK_BYTES,
        uniform=metadata.pop(UNIFORM, "") == "1",
        metadata=metadata,
    )


def _hex(digest: str) -> str:
    kind, _, encoded = digest.partition("=")
    if kind.upper() != DIGEST[:-1]:
        return ""
    return base64.urlsafe_b64decode(encoded).hex()


def _moment(text: str) -> datetime | None:
    # Some clients leave the time out or write year 1, and mean the time of the message.
    if not text or text.startswith("0001-"):
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def stream_config(bucket: topology.Bucket, *, replicas: int = 1) -> dict[str, Any]:
    """Return the JetStream configuration of the bucket's stream, as the API takes it.

    A cache drops its oldest messages when it is full, any other bucket refuses new ones.
    """
    layout = Layout(bucket.name)
    return {
        "name": layout.stream,
        "description": bucket.description,
        "subjects": [f"$O.{bucket.name}.C.>", layout.descriptions],
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "discard": "old" if bucket.cache else "new",
        "max_bytes": bucket.max_bytes,
        "max_msgs": -1,
        "max_msgs_per_subject": -1,
        "max_age": int(bucket.max_age_s * 10**9),
        "duplicate_window": DEDUPLICATION_S * 10**9,
        "allow_direct": True,
        "allow_rollup_hdrs": True,
    }
