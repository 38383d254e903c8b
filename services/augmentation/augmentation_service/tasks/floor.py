"""What can be done to tasks that were accepted: hold them, let them go on, take them away."""

from __future__ import annotations

from datetime import datetime, timedelta

from imagesystem import ids, logs
from imagesystem.bus import Bus
from imagesystem.objects import Bucket
from imagesystem.topology import CONSUMERS

from augmentation_service.tasks.documents import Task
from augmentation_service.tasks.exports import Exporter
from augmentation_service.tasks.ledger import Ledger
from augmentation_service.tasks.planning import Planner

__all__ = ["Floor"]

log = logs.get(__name__)
UNITS = CONSUMERS["augmentation-units"]


class Floor:
    """Where tasks are at work."""

    def __init__(
        self, bus: Bus, ledger: Ledger, planner: Planner, variants: Bucket, max_steps: int
    ) -> None:
        self._bus = bus
        self._ledger = ledger
        self._planner = planner
        self._variants = variants
        self._max_steps = max_steps

    async def cancel(self, task: Task) -> None:
        """Make no more units; what is made stays."""
        await self._ledger.cancel(task.task_id)
        log.info("task_cancelled", task_id=task.task_id)

    async def pause(self, task: Task) -> None:
        """Make no units until it is resumed; what is over or cancelled stays so."""
        await self._ledger.pause(task.task_id)
        log.info("task_paused", task_id=task.task_id)

    async def resume(self, task: Task) -> None:
        """Make what has no result yet. Does no harm to a task that is not paused."""
        state = await self._ledger.resume(task.task_id)
        if state is not None and state.phase == "open":
            await self._planner.request(task)
            log.info("task_resumed", task_id=task.task_id)

    async def pause_all(self, seconds: float) -> datetime:
        """Let the commands of all tasks wait in their queue; returns until when."""
        until = ids.now() + timedelta(seconds=seconds)
        await self._bus.pause(UNITS, until)
        log.info("units_paused", until=until.isoformat())
        return until

    async def resume_all(self) -> None:
        """Let the commands of all tasks be handled again."""
        await self._bus.pause(UNITS, None)
        log.info("units_resumed")

    def exporter(self, task: Task) -> Exporter:
        """Return what writes a task's results as one file."""
        return Exporter(task, self._ledger, self._variants, self._max_steps)
