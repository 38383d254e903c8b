"""Identities: where an image id, an event id and a time come from."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime

from imagesystem.errors import Rejected

__all__ = ["ImageIdHasher", "image_id", "new_id", "now", "parse_image_id"]

PUBLIC = "public"


class ImageIdHasher:
    """An image id over bytes that arrive in pieces: `update`, then `hexdigest` and `image_id`.

    The id is a UUIDv8 (RFC 9562) made from SHA-256(len(owner) ‖ owner ‖ bytes), so that the
    same picture of the same owner is the same image, however often it is sent.
    """

    def __init__(self, owner: str = PUBLIC) -> None:
        encoded = owner.encode()
        self._identity = hashlib.sha256(len(encoded).to_bytes(8, "big") + encoded)
        self._content = hashlib.sha256()
        self.size = 0

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the picture."""
        self._identity.update(data)
        self._content.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes alone, in hex."""
        return self._content.hexdigest()

    @property
    def image_id(self) -> str:
        """The id of the image that these bytes are."""
        raw = bytearray(self._identity.digest()[:16])
        raw[6] = (raw[6] & 0x0F) | 0x80
        raw[8] = (raw[8] & 0x3F) | 0x80
        return str(uuid.UUID(bytes=bytes(raw)))


def image_id(data: bytes, owner: str = PUBLIC) -> str:
    """Return the id of the image that `data` is (see `ImageIdHasher`)."""
    hasher = ImageIdHasher(owner)
    hasher.update(data)
    return hasher.image_id


def parse_image_id(text: str) -> str:
    """Return `text` in canonical form, or raise `Rejected` 400 `malformed_image_id`."""
    try:
        parsed = uuid.UUID(text)
    except ValueError:
        parsed = None
    if parsed is None or str(parsed) != text.lower() or parsed.version != 8:
        raise Rejected(400, "malformed_image_id", f"{text[:64]!r} is not an image id")
    return str(parsed)


def new_id() -> str:
    """Return a random id (UUIDv4), for events, tasks and letters."""
    return str(uuid.uuid4())


def now() -> datetime:
    """Return the current time, UTC."""
    return datetime.now(UTC)
