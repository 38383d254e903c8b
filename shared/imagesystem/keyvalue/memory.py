"""The in-memory twin of a key-value bucket: the same answers, no server. For tests."""

from __future__ import annotations

import re

from imagesystem import ids
from imagesystem.errors import Unavailable, WrongSequence
from imagesystem.keyvalue.port import Entry, check_key

__all__ = ["MemoryKeyValue"]


def _compiled(pattern: str) -> re.Pattern[str]:
    tokens = (re.escape(token) for token in pattern.split("."))
    parts = [{r"\*": r"[^.]+", ">": ".+"}.get(token, token) for token in tokens]
    return re.compile(r"\.".join(parts))


class MemoryKeyValue:
    """Entries in a dictionary; `down` makes every call raise `Unavailable`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.down = False
        self._revision = 0
        self._held: dict[str, Entry] = {}

    def _check(self) -> None:
        if self.down:
            raise Unavailable("nats", f"the in-memory bucket {self.name} is down")

    def _matching(self, pattern: str) -> list[Entry]:
        self._check()
        compiled = _compiled(pattern)
        found = [entry for key, entry in self._held.items() if compiled.fullmatch(key)]
        return sorted(found, key=lambda entry: entry.revision)

    async def get(self, key: str) -> Entry | None:
        """See `KeyValue.get`."""
        check_key(key)
        self._check()
        return self._held.get(key)

    async def put(
        self, key: str, value: bytes, *, expected: int | None = None, among: str | None = None
    ) -> int:
        """See `KeyValue.put`."""
        check_key(key)
        held = await self.last(among or key)
        if expected is not None and (held.revision if held else 0) != expected:
            raise WrongSequence(f"{among or key} is not at {expected}")
        self._revision += 1
        self._held[key] = Entry(key=key, value=value, revision=self._revision, written_at=ids.now())
        return self._revision

    async def entries(self, pattern: str, *, after: int = 0, limit: int = 1000) -> list[Entry]:
        """See `KeyValue.entries`."""
        return [entry for entry in self._matching(pattern) if entry.revision > after][:limit]

    async def count(self, pattern: str) -> int:
        """See `KeyValue.count`."""
        return len(self._matching(pattern))

    async def last(self, pattern: str) -> Entry | None:
        """See `KeyValue.last`."""
        found = self._matching(pattern)
        return found[-1] if found else None

    async def remove(self, pattern: str) -> int:
        """See `KeyValue.remove`."""
        gone = self._matching(pattern)
        for entry in gone:
            del self._held[entry.key]
        return len(gone)
