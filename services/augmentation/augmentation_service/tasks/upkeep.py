"""What happens to tasks by the clock: those that stand still go on, old ones are removed.

Both follow from what is written down, so that a restart changes nothing; every replica does it,
and doing it twice changes nothing either.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from imagesystem import ids, logs
from imagesystem.errors import ImageSystemError
from imagesystem.objects import Bucket

from augmentation_service.settings import Settings
from augmentation_service.tasks.documents import Task
from augmentation_service.tasks.ledger import Ledger
from augmentation_service.tasks.planning import Planner

__all__ = ["Upkeep"]

log = logs.get(__name__)

_PAGE = 20
#: Objects of one task deleted at once.
_AT_ONCE = 16


class Upkeep:
    """Resumes and removes tasks; `run` must run beside the service."""

    def __init__(
        self, ledger: Ledger, planner: Planner, variants: Bucket, settings: Settings
    ) -> None:
        self._ledger = ledger
        self._planner = planner
        self._variants = variants
        self._ttl = timedelta(seconds=settings.results_ttl_s)
        self._every_s = settings.expiry_every_s

    async def run(self) -> None:
        """Look after the tasks, for ever."""
        while True:
            try:
                await self.round()
            except ImageSystemError as error:
                log.warning("task_upkeep_failed", error=error.message)
            await asyncio.sleep(self._every_s)

    async def round(self) -> None:
        """Look at every task once."""
        after = 0
        while True:
            # A page may be shorter than it could be: the server bounds its bytes.
            tasks, after = await self._ledger.tasks(after, _PAGE)
            if not tasks:
                return
            for task in tasks:
                if task.created_at + self._ttl <= ids.now():
                    await self._remove(task)
                elif await self._stands_still(task):
                    await self._planner.request(task)

    async def _stands_still(self, task: Task) -> bool:
        """Return whether there is something to plan: asking twice does no harm."""
        state = await self._ledger.state(task.task_id)
        if state is None or state.phase != "open":
            return False
        return not task.total or (
            await self._ledger.planned(task.task_id, state.resumed) < task.total
        )

    async def _remove(self, task: Task) -> None:
        # First of all, no more units are made; the task goes last, so that an end that is
        # interrupted begins again.
        await self._ledger.cancel(task.task_id)
        units = [task.unit(number) for number in range(task.total)]
        names = [*task.objects, *(unit.object for unit in units)]
        if task.labelled:
            names += [unit.labels_object for unit in units]
        for start in range(0, len(names), _AT_ONCE):
            await asyncio.gather(*map(self._delete, names[start : start + _AT_ONCE]))
        await self._ledger.forget(task.task_id)
        log.info("task_expired", task_id=task.task_id, total=task.total)

    async def _delete(self, name: str) -> None:
        info = await self._variants.info(name)
        if info is not None:
            await self._variants.delete(info)
