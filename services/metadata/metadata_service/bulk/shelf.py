"""Tasks and their outcomes in the key-value bucket `bulk`, lists of pictures in `manifests`.

`metadata.tasks.<id>` is a task, `metadata.outcomes.<id>.<page>` what became of a page of its
pictures; both vanish a week after they were written last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from imagesystem import ids
from imagesystem.errors import Rejected
from imagesystem.keyvalue import KeyValue
from imagesystem.manifests import Manifest
from imagesystem.objects import Bucket

from metadata_service.bulk.records import Outcome, Task

__all__ = ["PAGE", "Shelf"]

#: Pictures whose outcomes are written together.
PAGE = 200
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Shelf:
    """Reads and writes what is kept."""

    def __init__(self, bulk: KeyValue, manifests: Bucket) -> None:
        self._bulk = bulk
        self._manifests = manifests

    async def get(self, task_id: str) -> tuple[int, Task]:
        """Return a task and its revision; raises `Rejected` 404 `unknown_task`."""
        entry = None
        if _ID.fullmatch(task_id):
            entry = await self._bulk.get(f"metadata.tasks.{task_id}")
        if entry is None:
            raise Rejected(404, "unknown_task", f"there is no bulk edit {task_id[:64]!r}")
        return entry.revision, msgspec.json.decode(entry.value, type=Task)

    async def put(self, task: Task, revision: int) -> int:
        """Write a task over that revision of it (0: it is new); returns the next revision."""
        key = f"metadata.tasks.{task.task_id}"
        return await self._bulk.put(key, msgspec.json.encode(task), expected=revision)

    async def latest(self, count: int) -> list[Task]:
        """Return the tasks that were asked for last, newest first."""
        entries = await self._bulk.entries("metadata.tasks.*", limit=10_000)
        tasks = [msgspec.json.decode(entry.value, type=Task) for entry in entries]
        return sorted(tasks, key=lambda task: task.created_at, reverse=True)[:count]

    async def list_pictures(self, task_id: str, pictures: Sequence[str]) -> None:
        """Write down which pictures a task is about."""
        manifest = Manifest(task_id=task_id, ids=list(pictures), resolved_at=ids.now())
        await self._manifests.put(_name(task_id), msgspec.json.encode(manifest))

    async def pictures(self, task_id: str) -> list[str] | None:
        """Return which pictures a task is about, None if nobody has written that down."""
        if await self._manifests.info(_name(task_id)) is None:
            return None
        _, body = await self._manifests.get(_name(task_id))
        return msgspec.json.decode(body, type=Manifest).ids

    async def unlist(self, task_id: str) -> None:
        """Delete the list: the task has ended."""
        info = await self._manifests.info(_name(task_id))
        if info is not None:
            await self._manifests.delete(info)

    async def put_outcomes(self, task_id: str, page: int, outcomes: Sequence[Outcome]) -> None:
        """Write down what became of a page of pictures."""
        key = f"metadata.outcomes.{task_id}.{page}"
        await self._bulk.put(key, msgspec.json.encode(list(outcomes)))

    async def outcomes(self, task_id: str, page: int) -> list[Outcome]:
        """Return what became of a page of pictures; empty before anything has."""
        entry = await self._bulk.get(f"metadata.outcomes.{task_id}.{page}")
        return [] if entry is None else msgspec.json.decode(entry.value, type=list[Outcome])


def _name(task_id: str) -> str:
    return f"bulk-{task_id}"
