"""Making one unit of a task: read, work in a worker process, store, announce, write down.

Every step can be done again: the object, the fact and the result of a unit have names of their
own, so that a unit that died anywhere in between is simply made once more.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import msgspec
from imagesystem import ids, logs
from imagesystem.bus import Bus, Received
from imagesystem.errors import ImageDeleted, Permanent, Rejected, Transient
from imagesystem.events import Augment, Augmented, Event
from imagesystem.objects import Bucket
from imagesystem.originals import Originals
from imagesystem.workers import WorkerPool

from augmentation_service import requests
from augmentation_service.edits import Edited, EditJob, edit
from augmentation_service.measures import Measures
from augmentation_service.rendering import Job, render
from augmentation_service.settings import Settings
from augmentation_service.tasks.documents import Result, Task, Unit
from augmentation_service.tasks.ledger import Ledger

__all__ = ["Units"]

log = logs.get(__name__)

#: What is no failure of ours and no reason to keep the command: the image went away meanwhile.
_GONE = ("image_deleted", "unknown_image")
#: A unit that takes too long, or kills its worker, does so again; a first time may be somebody
#: else's doing (a busy machine, out of memory). The attempt that is the last one, by code.
_LAST_ATTEMPTS = {"deadline_exceeded": 2, "worker_died": 3}


class Units:
    """Handles `Augment` commands."""

    def __init__(
        self,
        *,
        bus: Bus,
        variants: Bucket,
        originals: Originals,
        ledger: Ledger,
        pool: WorkerPool,
        measures: Measures,
        settings: Settings,
    ) -> None:
        self._bus = bus
        self._variants = variants
        self._originals = originals
        self._ledger = ledger
        self._pool = pool
        self._measures = measures
        self._settings = settings
        # One more than work: the next picture is read while the workers are busy.
        self._places = asyncio.Semaphore(pool.size + 1)

    async def make(self, received: Received[Event]) -> None:
        """Make the unit unless it is made, cancelled or expired. Idempotent."""
        command = received.event
        if not isinstance(command, Augment):
            return
        task_id, number = command.task_id, command.number
        if await self._ledger.state(task_id) != "open":
            return
        task = await self._ledger.task(task_id)
        if task is None or number >= task.total:
            return
        if await self._ledger.result(task_id, number) is not None:
            return
        try:
            result = await self._made(task, task.unit(number))
        except (Rejected, ImageDeleted) as error:
            if error.code not in _GONE:
                raise
            await self._fail(task, number, error.code, error.message, received.attempts)
            return
        except Transient as error:
            if received.attempts >= _LAST_ATTEMPTS.get(error.code, received.attempts + 1):
                raise Permanent(error.message, code=error.code) from error
            raise
        if await self._ledger.record(task_id, result):
            self._measures.units.labels("done").inc()
        if await self._ledger.state(task_id) is None:
            # It expired while this was made: whoever removed the rest could not see this.
            await self._drop(result.object or "")
            await self._ledger.forget(task_id)

    async def gave_up(self, received: Received[Event], error: Permanent, attempts: int) -> None:
        """Write down that a unit failed, after its command became a dead letter."""
        command = received.event
        if not isinstance(command, Augment) or await self._ledger.state(command.task_id) is None:
            return
        task = await self._ledger.task(command.task_id)
        if task is not None and command.number < task.total:
            await self._fail(task, command.number, error.code, error.message, attempts)

    async def _fail(self, task: Task, number: int, code: str, message: str, attempts: int) -> None:
        unit = task.unit(number)
        result = Result(
            number=number,
            variant_id=unit.variant_id,
            image_id=unit.image_id,
            variant=unit.variant,
            outcome="failed",
            finished_at=ids.now(),
            code=code,
            message=message[:500],
            attempts=attempts,
        )
        if await self._ledger.record(task.task_id, result):
            self._measures.units.labels("failed").inc()
            log.warning("unit_failed", task_id=task.task_id, number=number, code=code)

    async def _made(self, task: Task, unit: Unit) -> Result:
        async with self._places:
            made = await self._rendered(task, unit)
        await self._variants.put(unit.object, made.data, metadata={"media_type": made.media_type})
        await self._announce(task, unit, made)
        return Result(
            number=unit.number,
            variant_id=unit.variant_id,
            image_id=unit.image_id,
            variant=unit.variant,
            outcome="done",
            finished_at=ids.now(),
            object=unit.object,
            media_type=made.media_type,
            width=made.width,
            height=made.height,
            size_bytes=len(made.data),
            sha256=hashlib.sha256(made.data).hexdigest(),
        )

    async def _rendered(self, task: Task, unit: Unit) -> Edited:
        data, sha256 = await self._source(task, unit)
        deadline_s, max_pixels = self._settings.unit_deadline_s, self._settings.max_pixels
        if task.kind != "augment":
            edits = EditJob(
                operations=tuple(task.chains[unit.variant]),
                source=sha256,
                format=task.format,
                quality=task.quality,
                max_pixels=max_pixels,
            )
            return await self._pool.run(edit, data, edits, deadline_s=deadline_s, called="augment")
        job = Job(
            recipe=requests.recipe_of(task.recipe, self._settings.max_steps),
            seed=task.seed,
            source=sha256,
            variant=unit.variant,
            format=task.format,
            quality=task.quality,
            max_pixels=max_pixels,
        )
        made = await self._pool.run(render, data, job, deadline_s=deadline_s, called="augment")
        receipt: dict[str, Any] = msgspec.to_builtins(made.receipt)
        return Edited(
            data=made.data,
            media_type=made.media_type,
            width=made.receipt.width,
            height=made.receipt.height,
            receipt=receipt,
        )

    async def _source(self, task: Task, unit: Unit) -> tuple[bytes, str]:
        """Return the bytes to work on, and their SHA-256."""
        if unit.image_id is None:
            info, data = await self._variants.get(task.source)
            return data, info.digest
        original = await self._originals.find(unit.image_id)
        return await self._originals.whole(original), original.sha256

    async def _announce(self, task: Task, unit: Unit, made: Edited) -> None:
        """Say `augmented`; of a deleted image nothing is said, and nothing stays."""
        if unit.image_id is None:
            return
        fact = Augmented(
            image_id=unit.image_id,
            variant_id=unit.variant_id,
            task_id=task.task_id,
            object=unit.object,
            media_type=made.media_type,
            width=made.width,
            height=made.height,
            receipt=made.receipt,
            augmented_at=ids.now(),
        )
        try:
            await self._bus.publish(fact)
        except ImageDeleted:
            await self._drop(unit.object)
            raise

    async def _drop(self, name: str) -> None:
        info = await self._variants.info(name)
        if info is not None:
            await self._variants.delete(info)
