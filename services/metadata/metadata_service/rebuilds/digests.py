"""Digests of documents: whether two copies of the read model say the same.

The state of a document is everything in it but what depends on when its facts were heard:
`version` counts writes; the sequence of a failure that is over, and a tombstone older than the
upload, are kept by whoever saw them and are no longer in the log.

The digest over all documents is the sum of theirs modulo 2^256: it does not depend on any order,
and one document can be taken out and put back in (a document that changed meanwhile). It finds
accidents, it is no protection against forgery.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

__all__ = ["Sum", "state_digest"]

MODULUS = 2**256
_encode = msgspec.json.Encoder(order="deterministic").encode


def state_digest(stored: dict[str, Any]) -> bytes:
    """Return the SHA-256 of the state of a document as the store holds it (plain data)."""
    failed = stored["failed"]
    state = stored | {
        "version": None,
        "tombstone": None if stored["uploaded"] else stored["tombstone"],
        "seq": {
            key: sequence
            for key, sequence in stored["seq"].items()
            if not key.startswith("failed.") or key.removeprefix("failed.") in failed
        },
    }
    return hashlib.sha256(_encode(state)).digest()


class Sum:
    """The digest over many documents, and how many they are."""

    def __init__(self) -> None:
        self.count = 0
        self._total = 0

    def add(self, digest: bytes | None) -> None:
        """Put a document's digest in; None: there is no document."""
        if digest is not None:
            self.count += 1
            self._total = (self._total + int.from_bytes(digest, "big")) % MODULUS

    def take_out(self, digest: bytes | None) -> None:
        """Take a document's digest out that was put in before."""
        if digest is not None:
            self.count -= 1
            self._total = (self._total - int.from_bytes(digest, "big")) % MODULUS

    @property
    def hex(self) -> str:
        """64 hex digits."""
        return f"{self._total:064x}"
