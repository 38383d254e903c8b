"""Publishing the units of a task, resumably: a kill in the middle loses and doubles none."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec
from imagesystem import ids, logs
from imagesystem.bus import Bus, Received
from imagesystem.errors import ObjectMissing, Rejected, WrongSequence
from imagesystem.events import Augment, Event, Plan, Resolve
from imagesystem.manifests import Manifest, Problem
from imagesystem.objects import Bucket

from augmentation_service import requests
from augmentation_service.settings import Settings
from augmentation_service.tasks import orders
from augmentation_service.tasks.documents import Task
from augmentation_service.tasks.ledger import Ledger

__all__ = ["Planner"]

log = logs.get(__name__)

#: Units published at once; after so many it is written down how far the plan is.
_AT_ONCE = 64


class Planner:
    """Handles `Plan` commands. `manifests`: where metadata writes what queries find."""

    def __init__(self, bus: Bus, ledger: Ledger, manifests: Bucket, settings: Settings) -> None:
        self._bus = bus
        self._ledger = ledger
        self._manifests = manifests
        self._settings = settings

    async def request(self, task: Task) -> None:
        """Have the task planned, its query resolved before; once, however often it is asked for."""
        command: Plan | Resolve = Plan(task_id=task.task_id, requested_at=ids.now())
        if task.query is not None and not task.total:
            command = Resolve(
                task_id=task.task_id,
                query=task.query,
                limit=self._settings.max_task_images,
                requested_at=ids.now(),
            )
        with suppress(WrongSequence):
            await self._bus.publish(command, expected=0)

    async def plan(self, received: Received[Event]) -> None:
        """Publish every unit that has not been; from where an earlier attempt came to."""
        command = received.event
        if not isinstance(command, Plan):
            return
        task = await self._ledger.task(command.task_id)
        if task is not None and not task.total:
            task = await self._resolved(task)
        state = await self._ledger.state(command.task_id)
        if task is None or state is None:
            return
        resumed = state.resumed
        planned = await self._ledger.planned(task.task_id, resumed)
        while planned < task.total and await self._ledger.state(task.task_id) == state:
            if state.phase != "open":
                return
            until = min(planned + _AT_ONCE, task.total)
            numbers = range(planned, until)
            await asyncio.gather(*(self._publish(task.task_id, n, resumed) for n in numbers))
            await self._ledger.note_planned(task.task_id, until, resumed)
            planned = until
        log.info("task_planned", task_id=task.task_id, planned=planned, total=task.total)

    async def _resolved(self, task: Task) -> Task | None:
        """Return the task with the images that its query found; None if there is none to plan."""
        try:
            _, data = await self._manifests.get(task.task_id)
        except ObjectMissing:
            await self.request(task)
            return None
        manifest = msgspec.json.decode(data, type=Manifest)
        found = msgspec.structs.replace(task, images=manifest.ids)
        problem = manifest.problem
        try:
            if problem is None:
                self._check(found)
        except Rejected as error:
            problem = Problem(code=error.code, message=error.message)
        if problem is not None:
            await self._ledger.note_problem(task.task_id, problem)
            log.warning("task_failed", task_id=task.task_id, code=problem.code)
            return None
        await self._ledger.note_images(task.task_id, found.images)
        return await self._ledger.task(task.task_id, fresh=True)

    def _check(self, task: Task) -> None:
        """Raise `Rejected` for what could not be checked before the images were known."""
        if not task.images:
            raise Rejected(400, "no_images", "the query finds no image")
        orders.check_size(len(task.images), task.variants, self._settings)
        orders.check_document(task)
        recipe = requests.recipe_of(task.recipe, self._settings.max_steps)
        orders.check_pictures(recipe, len(task.images))

    async def _publish(self, task_id: str, number: int, resumed: int) -> None:
        command = Augment(task_id=task_id, number=number, requested_at=ids.now())
        if not resumed:
            # Refused if it is in the queue already. If it has been handled by now, it comes
            # again, and its result is found.
            with suppress(WrongSequence):
                await self._bus.publish(command, expected=0)
        elif await self._ledger.result(task_id, number) is None:
            # What is in the queue may be dropped yet by whoever saw the pause.
            await self._bus.publish(command)
