"""Editions in memory: the same answers as MongoDB, no server. For tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from imagesystem import ids
from imagesystem.errors import Unavailable

from metadata_service.documents import Document
from metadata_service.memory_queries import picked
from metadata_service.rebuilds.records import Rebuild
from metadata_service.store import Conflict

__all__ = ["MemoryEdition", "MemoryEditions"]


class MemoryEdition:
    """Documents in a dictionary; what it writes first has `first_version`."""

    def __init__(self, first_version: int = 1, gone: Callable[[], bool] = bool) -> None:
        self.documents: dict[str, Document] = {}
        self.writes: list[int] = []
        self.down = False
        self._first_version = first_version
        self._gone = gone

    def check(self) -> None:
        """Raise `Unavailable` while it is down."""
        if self.down or self._gone():
            raise Unavailable("mongodb", "the in-memory store is down")

    async def prepare(self) -> None:
        """See `Edition.prepare`."""
        self.check()

    async def get(self, image_id: str) -> Document | None:
        """See `Edition.get`."""
        self.check()
        return self.documents.get(image_id)

    async def read(self, image_ids: Iterable[str]) -> dict[str, Document]:
        """See `Edition.read`."""
        self.check()
        return {key: self.documents[key] for key in image_ids if key in self.documents}

    async def write(self, documents: Sequence[Document]) -> None:
        """See `Edition.write`; `writes` remembers how many documents came at once."""
        self.check()
        self.writes.append(len(documents))
        conflicts = 0
        for document in documents:
            held = self.documents.get(document.image_id)
            if (held.version if held else 0) != document.version:
                conflicts += 1
                continue
            version = document.version + 1 if document.version else self._first_version
            stored = msgspec.structs.replace(document, version=version)
            self.documents[document.image_id] = stored
        if conflicts:
            raise Conflict(f"{conflicts} documents were written by somebody else meanwhile")

    async def insert(self, documents: Sequence[Document]) -> set[str]:
        """See `Edition.insert`."""
        self.check()
        held = {each.image_id for each in documents if each.image_id in self.documents}
        await self.write([each for each in documents if each.image_id not in held])
        return held

    async def scan(
        self, after: str, limit: int, paths: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """See `Edition.scan`."""
        self.check()
        following = sorted(name for name in self.documents if name > after)
        rows = [_plain(self.documents[name]) for name in following[:limit]]
        return rows if paths is None else [picked(row, paths) for row in rows]

    async def stored(self, image_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """See `Edition.stored`."""
        return {name: _plain(each) for name, each in (await self.read(image_ids)).items()}


class MemoryEditions:
    """See `metadata_service.rebuilds.Editions`."""

    def __init__(self, served: MemoryEdition) -> None:
        self._served = served
        self._complete: str | None = None
        self._beside: dict[str, MemoryEdition] = {}
        self._current: tuple[Rebuild, str, float] | None = None
        self._ended: dict[str, Rebuild] = {}

    def lose(self) -> None:
        """Forget everything, as an empty disk does."""
        self._served.documents.clear()
        self.__init__(self._served)  # type: ignore[misc]

    async def whole(self) -> bool:
        """See `Editions.whole`."""
        self._served.check()
        return self._complete is not None

    async def mark_whole(self) -> None:
        """See `Editions.mark_whole`."""
        self._served.check()
        self._complete = self._complete or ""

    async def beside(self, rebuild: Rebuild) -> MemoryEdition | None:
        """See `Editions.beside`."""
        self._served.check()
        if rebuild.position == 0 and rebuild.rebuild_id not in self._beside:
            self._beside[rebuild.rebuild_id] = MemoryEdition(
                rebuild.first_version, lambda: self._served.down
            )
        return self._beside.get(rebuild.rebuild_id)

    def served(self) -> MemoryEdition:
        """See `Editions.served`."""
        return self._served

    async def serve(self, rebuild: Rebuild) -> bool:
        """See `Editions.serve`."""
        self._served.check()
        edition = self._beside.pop(rebuild.rebuild_id, None)
        if edition is not None:
            self._served.documents = edition.documents
            self._complete = rebuild.rebuild_id
        return self._complete == rebuild.rebuild_id

    async def drop(self, *, but: str | None = None) -> None:
        """See `Editions.drop`."""
        self._served.check()
        self._beside = {name: each for name, each in self._beside.items() if name == but}

    async def begin(self, rebuild: Rebuild) -> Rebuild:
        """See `Editions.begin`."""
        self._served.check()
        if self._current is None:
            self._current = (rebuild, "", 0.0)
        return self._current[0]

    async def claim(self, holder: str, lease_s: float) -> Rebuild | None:
        """See `Editions.claim`."""
        self._served.check()
        now = ids.now().timestamp()
        if self._current is None or (self._current[1] != holder and self._current[2] > now):
            return None
        rebuild = self._current[0]
        rebuild = msgspec.structs.replace(rebuild, attempts=rebuild.attempts + 1)
        self._current = (rebuild, holder, now + lease_s)
        return rebuild

    async def renew(self, holder: str, lease_s: float) -> bool:
        """See `Editions.renew`."""
        self._served.check()
        if self._current is None or self._current[1] != holder:
            return False
        self._current = (self._current[0], holder, ids.now().timestamp() + lease_s)
        return True

    async def save(self, rebuild: Rebuild, holder: str) -> bool:
        """See `Editions.save`."""
        self._served.check()
        if self._current is None or self._current[1] != holder:
            return False
        self._current = (rebuild, holder, self._current[2])
        if rebuild.ended:
            self._ended[rebuild.rebuild_id] = rebuild
            self._current = None
        return True

    async def find(self, rebuild_id: str) -> Rebuild | None:
        """See `Editions.find`."""
        self._served.check()
        known = {each.rebuild_id: each for each in await self.latest()}
        return known.get(rebuild_id)

    async def latest(self) -> list[Rebuild]:
        """See `Editions.latest`."""
        self._served.check()
        found = [*self._ended.values(), *([self._current[0]] if self._current else [])]
        return sorted(found, key=lambda each: each.requested_at, reverse=True)[:20]


def _plain(document: Document) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(document, builtin_types=(datetime, bytes))
    return plain
