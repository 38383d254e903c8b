"""The port through which services keep small states: one bucket of keys at a time.

Keys are subjects (`augmentation.<task>.task`), patterns of keys are patterns of subjects (`*` for
one token, `>` for the rest). Every write has a revision, which grows over the whole bucket.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Protocol

import msgspec

__all__ = ["Entry", "KeyValue", "check_key"]

_KEY = re.compile(r"[A-Za-z0-9_=/-]+(\.[A-Za-z0-9_=/-]+)*")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is written under a key, when, and as which revision."""

    key: str
    value: bytes
    revision: int
    written_at: datetime


def check_key(key: str) -> None:
    """Raise `ValueError` unless `key` can be a key: tokens of letters, digits and `_=/-`."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a key: {key[:64]!r}")


class KeyValue(Protocol):
    """A bucket of keys. All calls raise `Unavailable` when the server does not answer."""

    async def get(self, key: str) -> Entry | None:
        """Return what is written under the key, or None."""
        ...

    async def put(
        self, key: str, value: bytes, *, expected: int | None = None, among: str | None = None
    ) -> int:
        """Write, and return the revision.

        With `expected`, the last revision of the key must be that (0: it is not there), or
        `WrongSequence` is raised and nothing is written; with `among` too, the last revision of
        all keys that match this pattern.
        """
        ...

    async def entries(self, pattern: str, *, after: int = 0, limit: int = 1000) -> list[Entry]:
        """Return up to `limit` matching entries with revisions above `after`, oldest first."""
        ...

    async def count(self, pattern: str) -> int:
        """Return how many keys match, at a cost that does not depend on how many they are."""
        ...

    async def last(self, pattern: str) -> Entry | None:
        """Return the matching entry that was written last, or None."""
        ...

    async def remove(self, pattern: str) -> int:
        """Remove every key that matches; returns how many. Only the bucket's owner may."""
        ...
