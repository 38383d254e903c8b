"""Edits of many pictures, page by page: what is done about `edit` commands.

A page is edited, its outcomes are written, then the task. Whoever dies in between leaves a page
to be edited again: an edit that is there already says nothing. Each edit is published over exactly
the state that it was made from, so that none is lost, whoever else edits meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from imagesystem import ids, logs
from imagesystem.bus import Bus, Received
from imagesystem.errors import Permanent, Rejected, WrongSequence
from imagesystem.events import BulkEdit, Event

from metadata_service.bulk.records import Outcome, Task
from metadata_service.bulk.shelf import PAGE, Shelf
from metadata_service.edits import Edits
from metadata_service.etags import Precondition
from metadata_service.queries import Position
from metadata_service.resolving import asked
from metadata_service.store import Store

__all__ = ["BULK", "BulkWorker"]

log = logs.get(__name__)

#: The durable consumer.
BULK = "metadata-bulk"
#: Pictures edited at once, and seconds after which the rest is a command of its own.
TOGETHER, STRETCH_S = 16, 45.0


class BulkWorker:
    """Handles `BulkEdit` commands."""

    def __init__(self, shelf: Shelf, store: Store, bus: Bus, edits: Edits, *, most: int) -> None:
        self._shelf = shelf
        self._store = store
        self._bus = bus
        self._edits = edits
        self._most = most

    async def edit(self, received: Received[Event]) -> None:
        """Edit what is left of a task, or as much as fits into a while. Idempotent."""
        command = received.event
        if not isinstance(command, BulkEdit):
            raise Permanent(f"{received.subject} is no bulk edit", code="not_a_bulk_edit")
        try:
            revision, task = await self._shelf.get(command.task_id)
        except Rejected:  # it is older than tasks are kept
            return
        if task.ended:
            return
        clock = asyncio.get_running_loop().time
        until = clock() + STRETCH_S
        pictures = await self._shelf.pictures(task.task_id)
        if pictures is None:
            try:
                pictures = await self._found(task)
            except Rejected as error:
                await self._shelf.put(_ended(task, error.message), revision)
                return
            await self._shelf.list_pictures(task.task_id, pictures)
        while task.done < len(pictures) and clock() < until:
            page = pictures[task.done : task.done + PAGE]
            outcomes = await self._edited(task, page)
            await self._shelf.put_outcomes(task.task_id, task.done // PAGE, outcomes)
            failed = sum(outcome.result == "failed" for outcome in outcomes)
            task = msgspec.structs.replace(
                task,
                status="running",
                total=len(pictures),
                done=task.done + len(page),
                failed=task.failed + failed,
                updated_at=ids.now(),
            )
            revision = await self._shelf.put(task, revision)
        if task.done < len(pictures):
            again = BulkEdit(task_id=task.task_id, requested_at=ids.now())
            await self._bus.publish(again)
            return
        task = msgspec.structs.replace(task, total=len(pictures))
        await self._shelf.put(_ended(task, None), revision)
        await self._shelf.unlist(task.task_id)
        log.info("bulk_edit_done", task_id=task.task_id, images=task.done, failed=task.failed)

    async def gave_up(self, received: Received[Event], error: Permanent, attempts: int) -> None:
        """Say on the task that it could not be finished, after it became a dead letter."""
        del attempts
        if isinstance(received.event, BulkEdit):
            try:
                revision, task = await self._shelf.get(received.event.task_id)
            except Rejected:
                return
            if not task.ended:
                await self._shelf.put(_ended(task, error.message), revision)

    async def _found(self, task: Task) -> list[str]:
        wanted = asked(task.query or {})
        found: list[str] = []
        after: Position | None = None
        while True:
            page = await self._store.page(msgspec.structs.replace(wanted, after=after))
            found += [row["_id"] for row in page.rows]
            if len(found) > self._most:
                raise Rejected(
                    400, "limit_exceeded", f"the query finds more than {self._most} pictures"
                )
            if page.next is None:
                return found
            after = page.next

    async def _edited(self, task: Task, page: Sequence[str]) -> list[Outcome]:
        room = asyncio.Semaphore(TOGETHER)

        async def one(image_id: str) -> Outcome:
            async with room:
                try:
                    await self._edits.edit(image_id, task.change, Precondition(None))
                except (Rejected, WrongSequence) as error:
                    return Outcome(
                        image_id=image_id, result="failed", code=error.code, message=error.message
                    )
            return Outcome(image_id=image_id, result="edited")

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(image_id)) for image_id in page]
        return [each.result() for each in tasks]


def _ended(task: Task, error: str | None) -> Task:
    now = ids.now()
    return msgspec.structs.replace(
        task, status="failed" if error else "done", error=error, updated_at=now, ended_at=now
    )
