"""Publishing the units of a task, resumably: a kill in the middle loses and doubles none."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from imagesystem import ids, logs
from imagesystem.bus import Bus, Received
from imagesystem.errors import WrongSequence
from imagesystem.events import Augment, Event, Plan

from augmentation_service.tasks.ledger import Ledger

__all__ = ["Planner"]

log = logs.get(__name__)

#: Units published at once; after so many it is written down how far the plan is.
_AT_ONCE = 64


class Planner:
    """Handles `Plan` commands."""

    def __init__(self, bus: Bus, ledger: Ledger) -> None:
        self._bus = bus
        self._ledger = ledger

    async def request(self, task_id: str) -> None:
        """Have the task planned; once, however often it is asked for meanwhile."""
        with suppress(WrongSequence):
            await self._bus.publish(Plan(task_id=task_id, requested_at=ids.now()), expected=0)

    async def plan(self, received: Received[Event]) -> None:
        """Publish every unit that has not been; from where an earlier attempt came to."""
        command = received.event
        if not isinstance(command, Plan):
            return
        task = await self._ledger.task(command.task_id)
        if task is None:
            return
        planned = await self._ledger.planned(task.task_id)
        while planned < task.total and await self._ledger.state(task.task_id) == "open":
            until = min(planned + _AT_ONCE, task.total)
            numbers = range(planned, until)
            await asyncio.gather(*(self._publish(task.task_id, number) for number in numbers))
            await self._ledger.note_planned(task.task_id, until)
            planned = until
        log.info("task_planned", task_id=task.task_id, planned=planned, total=task.total)

    async def _publish(self, task_id: str, number: int) -> None:
        # Refused if it is in the queue already. If it has been handled by now, it comes again,
        # and its result is found.
        command = Augment(task_id=task_id, number=number, requested_at=ids.now())
        with suppress(WrongSequence):
            await self._bus.publish(command, expected=0)
