"""Page cursors: a position in an order, opaque and signed.

Text: base64url(payload ‖ first 16 bytes of HMAC-SHA256(payload)), payload: JSON
`[sort, key, image id]`, where the key of a time is in milliseconds since 1970. The signature keeps
people from building cursors of their own, so that what is inside may change.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import msgspec
from imagesystem.errors import Rejected

from metadata_service.queries import SORTS, Position, Sort
from metadata_service.settings import Settings

__all__ = ["Cursors", "cursor_key"]

SIGNATURE_BYTES = 16
MAX_CHARACTERS = 256
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)

_decode = msgspec.json.Decoder(tuple[str, int | float, str]).decode


def cursor_key(settings: Settings) -> bytes:
    """Return the signing key: of `CURSOR_SECRET`, else one that all replicas derive alike."""
    secret = settings.cursor_secret or f"{settings.mongodb_url}/{settings.mongodb_database}"
    return hashlib.sha256(b"image-system cursors\0" + secret.encode()).digest()


class Cursors:
    """Writes and reads cursors signed with `key`."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, sort: Sort, position: Position) -> str:
        """Return the cursor for a position in an order."""
        key = position.key
        number = (key - EPOCH) // MILLISECOND if isinstance(key, datetime) else key
        payload = msgspec.json.encode((sort.name, number, position.image_id))
        return base64.urlsafe_b64encode(payload + self._sign(payload)).rstrip(b"=").decode()

    def read(self, text: str) -> tuple[Sort, Position]:
        """Return what a cursor stands for; `Rejected` 400 `malformed_cursor` if not ours."""
        try:
            raw = base64.b64decode(
                text[:MAX_CHARACTERS].encode("ascii") + b"=" * (-len(text) % 4),
                altchars=b"-_",
                validate=True,
            )
            payload, signature = raw[:-SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:]
            if not hmac.compare_digest(signature, self._sign(payload)):
                raise _malformed()
            name, number, image_id = _decode(payload)
            sort = SORTS[name]
            key = EPOCH + number * MILLISECOND if sort.key == "moment" else number
            return sort, Position(key=key, image_id=image_id)
        except (binascii.Error, UnicodeEncodeError, msgspec.MsgspecError, KeyError) as error:
            raise _malformed() from error

    def _sign(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, "sha256")[:SIGNATURE_BYTES]


def _malformed() -> Rejected:
    return Rejected(
        400, "malformed_cursor", "the cursor is not one that this service gave; begin without one"
    )
