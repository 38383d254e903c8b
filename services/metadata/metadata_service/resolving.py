"""Queries of tasks, resolved into lists of ids: what is done about `resolve` commands.

The list is an object in bucket `manifests`, called as the task, and then the task is asked to be
planned. Either may be done again: after a death in between, the list is there and stays as it is,
so that a task has one list of images, whatever is uploaded meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import msgspec
from imagesystem import ids, logs
from imagesystem.bus import Bus, Received
from imagesystem.errors import Permanent, Rejected, WrongSequence
from imagesystem.events import Event, Plan, Resolve
from imagesystem.manifests import Manifest, Problem
from imagesystem.objects import Bucket

from metadata_service.parameters import read
from metadata_service.queries import NEWEST, Position, Query
from metadata_service.search.asking import FOUND_BY, found
from metadata_service.store import Store

__all__ = ["RESOLUTIONS", "Resolver", "asked"]

log = logs.get(__name__)

#: The durable consumer.
RESOLUTIONS = "metadata-resolutions"
#: Pictures asked of the store at once.
PAGE = 1000
#: Lists are kept for so long; the task has its own copy once it is planned.
KEPT = timedelta(days=1)


class Resolver:
    """Handles `Resolve` commands."""

    def __init__(self, store: Store, bus: Bus, manifests: Bucket) -> None:
        self._store = store
        self._bus = bus
        self._manifests = manifests

    async def resolve(self, received: Received[Event]) -> None:
        """Write the list of a task's images unless it is there, and ask for the plan. Idempotent.

        A query that cannot be answered gives a list with a problem: whoever follows the task is
        told, and nothing is a dead letter.
        """
        command = received.event
        if not isinstance(command, Resolve):
            raise Permanent(f"{received.subject} carries no query", code="not_a_query")
        if await self._manifests.info(command.task_id) is None:
            try:
                found, problem = await self._found(command), None
            except Rejected as error:
                found, problem = [], Problem(code=error.code, message=error.message)
            await self._write(command, found, problem)
            await self._sweep()
        await self._ask_for_plan(command)

    async def gave_up(self, received: Received[Event], error: Permanent, attempts: int) -> None:
        """Tell the task that its query could not be resolved, after it became a dead letter."""
        del attempts
        command = received.event
        if isinstance(command, Resolve):
            await self._write(command, [], Problem(code=error.code, message=error.message))
            await self._ask_for_plan(command)

    async def _found(self, command: Resolve) -> list[str]:
        """Return the ids, newest first; raises `Rejected` for a query that cannot be answered."""
        wanted = asked(command.query)
        images: list[str] = []
        after: Position | None = None
        while True:
            page = await self._store.page(msgspec.structs.replace(wanted, after=after))
            images += [row["_id"] for row in page.rows]
            if len(images) > command.limit:
                raise Rejected(
                    400,
                    "task_too_large",
                    f"the query finds more than {command.limit} images",
                    limit="MAX_TASK_IMAGES",
                    allowed=command.limit,
                )
            if page.next is None:
                return images
            after = page.next

    async def _write(self, command: Resolve, found: Sequence[str], problem: Problem | None) -> None:
        manifest = Manifest(
            task_id=command.task_id, ids=list(found), resolved_at=ids.now(), problem=problem
        )
        await self._manifests.put(command.task_id, msgspec.json.encode(manifest))
        log.info(
            "query_resolved",
            task_id=command.task_id,
            images=len(found),
            problem=problem.code if problem else None,
        )

    async def _sweep(self) -> None:
        """Delete the lists that nobody will ask for any more."""
        async for info in self._manifests.watch(follow=False):
            if info is not None and not info.deleted and info.modified_at + KEPT < ids.now():
                await self._manifests.delete(info)

    async def _ask_for_plan(self, command: Resolve) -> None:
        with suppress(WrongSequence):  # it is asked for already
            plan = Plan(task_id=command.task_id, requested_at=ids.now())
            await self._bus.publish(plan, expected=0)


def asked(query: Mapping[str, Sequence[str]]) -> Query:
    """Return what a query says; raises `Rejected` 400 as the list of pictures does."""
    given = [(name, value) for name, values in query.items() for value in values]
    asked = found(read(given, FOUND_BY))
    # However well they fit: a task is about all of them.
    return msgspec.structs.replace(asked, sort=NEWEST, limit=PAGE, paths=())
