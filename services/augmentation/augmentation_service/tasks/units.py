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
from imagesystem.workers import WorkerPool

from augmentation_service import requests
from augmentation_service.edits import Edited, EditJob, edit
from augmentation_service.engine import MovedLabels
from augmentation_service.measures import Measures
from augmentation_service.mixing import others_needed
from augmentation_service.rendering import Job, Rendered, render
from augmentation_service.settings import Settings
from augmentation_service.tasks.documents import Result, Task, Unit
from augmentation_service.tasks.ledger import Ledger
from augmentation_service.tasks.sources import Sources

__all__ = ["Units"]

log = logs.get(__name__)

#: Labels of a variant in its result, and in its fact: longer ones are an object beside it.
_LABELS_TOLD_BYTES, _LABELS_SAID_BYTES = 64 * 1024, 4 * 1024
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
        sources: Sources,
        ledger: Ledger,
        pool: WorkerPool,
        measures: Measures,
        settings: Settings,
    ) -> None:
        self._bus = bus
        self._variants = variants
        self._sources = sources
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
        if not await self._ledger.is_open(task_id):
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
            await self._drop(task.unit(number))
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
            made, labels = await self._rendered(task, unit)
        told = await self._keep_labels(unit, labels)
        await self._variants.put(unit.object, made.data, metadata={"media_type": made.media_type})
        await self._announce(task, unit, made, told)
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
            labels=told,
            labels_object=unit.labels_object if labels is not None and told is None else None,
        )

    async def _keep_labels(self, unit: Unit, labels: MovedLabels | None) -> MovedLabels | None:
        """Return labels that are short enough to be told; long ones become an object."""
        if labels is None:
            return None
        data = msgspec.json.encode(labels)
        if len(data) <= _LABELS_TOLD_BYTES:
            return labels
        await self._variants.put(unit.labels_object, data)
        return None

    async def _rendered(self, task: Task, unit: Unit) -> tuple[Edited, MovedLabels | None]:
        data, sha256 = await self._sources.picture(task, unit.place)
        deadline_s, max_pixels = self._settings.unit_deadline_s, self._settings.max_pixels
        if task.kind != "augment":
            edits = EditJob(
                operations=tuple(task.chains[unit.variant]),
                source=sha256,
                format=task.format,
                quality=task.quality,
                max_pixels=max_pixels,
            )
            edited: Edited = await self._pool.run(
                edit, data, edits, deadline_s=deadline_s, called="augment"
            )
            return edited, None
        job = await self._job(task, unit, sha256)
        made: Rendered = await self._pool.run(
            render, data, job, deadline_s=deadline_s, called="augment"
        )
        receipt: dict[str, Any] = msgspec.to_builtins(made.receipt)
        return Edited(
            data=made.data,
            media_type=made.media_type,
            width=made.receipt.width,
            height=made.receipt.height,
            receipt=receipt,
        ), made.labels

    async def _job(self, task: Task, unit: Unit, sha256: str) -> Job:
        recipe = requests.recipe_of(task.recipe, self._settings.max_steps)
        places = task.others(unit, others_needed(recipe))
        return Job(
            recipe=recipe,
            seed=task.seed,
            source=sha256,
            variant=unit.variant,
            format=task.format,
            quality=task.quality,
            max_pixels=self._settings.max_pixels,
            given=await self._sources.labels(task, unit.place),
            rules=task.rules,
            others=tuple([await self._sources.other(task, place) for place in places]),
        )

    async def _announce(
        self, task: Task, unit: Unit, made: Edited, labels: MovedLabels | None
    ) -> None:
        """Say `augmented`; of a deleted image nothing is said, and nothing stays."""
        if unit.image_id is None:
            return
        told = None if labels is None else msgspec.json.encode(labels)
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
            # All facts of an image are one document somewhere.
            labels=msgspec.json.decode(told) if told and len(told) <= _LABELS_SAID_BYTES else None,
        )
        try:
            await self._bus.publish(fact)
        except ImageDeleted:
            await self._drop(unit)
            raise

    async def _drop(self, unit: Unit) -> None:
        for name in (unit.object, unit.labels_object):
            info = await self._variants.info(name)
            if info is not None:
                await self._variants.delete(info)
