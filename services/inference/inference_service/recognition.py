"""What the service knows how to do: say what is in a picture, task by task."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

import msgspec
from imagesystem import ids, logs
from imagesystem.bus import Bus
from imagesystem.errors import ImageDeleted, ObjectMissing, Permanent, Rejected, Transient
from imagesystem.events import (
    INFERRED,
    Deleted,
    Failed,
    Infer,
    Inferred,
    Planned,
    Uploaded,
    encode,
)
from imagesystem.objects import Bucket
from imagesystem.places import Allowance
from imagesystem.topology import CONSUMERS

from inference_service.examination import Examination
from inference_service.knowledge import Known
from inference_service.looking import Verdict
from inference_service.measures import Measures
from inference_service.models import Models, Result
from inference_service.tasks import TASKS, dependants

__all__ = ["Recognition"]

log = logs.get(__name__)

#: A fact is no larger, or the stream refuses it.
MOST_BYTES = 256 * 1024


class Recognition:
    """Pictures in, facts out.

    `in_hand`: bytes of pictures that were uploaded, from when one is read until it is looked at.
    """

    def __init__(
        self,
        bus: Bus,
        originals: Bucket,
        examination: Examination,
        measures: Measures,
        in_hand: Allowance,
    ) -> None:
        self._bus = bus
        self._originals = originals
        self._in_hand = in_hand
        self._examination = examination
        self._measures = measures

    @property
    def models(self) -> Models:
        """The model in use for each task."""
        return self._examination.models

    def trouble(self, task: str) -> str | None:
        """None while the task works, else one line that says why it is left alone."""
        return self._examination.breakers[task].trouble()

    def allows(self, task: str) -> bool:
        """Whether the task may be tried: its model does not fail again and again."""
        return self._examination.breakers[task].allows()

    async def known(self, image_id: str) -> Known:
        """Return what the log says about an image; raises `ImageDeleted` at a tombstone."""
        facts = {
            (received.event.kind, received.event.key): received
            for received in await self._bus.facts(image_id)
        }
        known = Known(facts=facts)
        if known.sequence(Deleted) > known.sequence(Uploaded):
            raise ImageDeleted(f"image {image_id} is deleted")
        return known

    async def plan(self, image_id: str, tasks: Sequence[str], known: Known) -> None:
        """Say which tasks will run, unless that has been said."""
        if list(known.plan()) != list(tasks):
            await self._bus.publish(
                Planned(image_id=image_id, tasks=list(tasks), planned_at=ids.now())
            )

    async def original(self, image_id: str) -> bytes:
        """Return the bytes of the original.

        Raises `ImageDeleted` when it is gone because the image is, else `Transient`
        (`object_missing`): its fact came, so that it is somewhere.
        """
        try:
            _, data = await self._originals.get(image_id)
        except ObjectMissing as error:
            await self.known(image_id)
            raise Transient(
                f"the original of {image_id} cannot be found", code="object_missing"
            ) from error
        return data

    async def uploaded(self, image_id: str) -> Known:
        """Return what is known about an image for somebody who asks.

        Raises `Rejected` 404 `unknown_image`, `ImageDeleted`.
        """
        known = await self.known(image_id)
        if not known.sequence(Uploaded):
            raise Rejected(404, "unknown_image", f"there is no image {image_id}")
        return known

    async def request(self, command: Infer) -> None:
        """Ask for a task to be run again; raises as `uploaded` does."""
        await self.uploaded(command.image_id)
        await self._ask(command.image_id, command.task)

    async def _ask(self, image_id: str, task: str) -> None:
        await self._bus.publish(Infer(image_id=image_id, task=task, requested_at=ids.now()))
        self._measures.shared.tasks_queued.labels(task).inc()

    async def share_out(self, tasks: Sequence[str], in_hand: int) -> tuple[list[str], list[str]]:
        """Split tasks into those to run now and those to leave to durables of their own.

        Left are tasks that are paused or fail, slow ones while more pictures are `in_hand` than
        there are workers, and those that rest on any of these.
        """
        left: set[str] = set()
        for task in tasks:
            slow = self.models[task].slow and in_hand > self._examination.pool.size
            paused = await self._bus.paused_until(CONSUMERS[f"inference-{task}"]) is not None
            if slow or paused or not self.allows(task) or left.intersection(TASKS[task].needs):
                left.add(task)
        return [task for task in tasks if task not in left], sorted(left)

    async def infer(
        self,
        image_id: str,
        tasks: Sequence[str],
        known: Known,
        *,
        attempts: int,
        patient: bool = False,
    ) -> dict[str, Verdict]:
        """Run `tasks` on the original and say each answer as soon as it is there.

        Returns the verdicts by task: of those asked for, and of what had to be looked for
        because they rest on it. What rests on something that failed here has none.
        """
        reached: dict[str, Verdict] = {}
        async with aclosing(self._verdicts(image_id, tasks, known, patient)) as verdicts:
            async for verdict in verdicts:
                reached[verdict.task] = verdict
                if verdict.task not in tasks or verdict.result is None:
                    continue
                fact = _fact(image_id, verdict, verdict.result, attempts)
                if len(encode(fact)) > MOST_BYTES:
                    reached[verdict.task] = _too_large(verdict)
                    continue
                await self._bus.publish(fact)
                await self.resolve(image_id, [verdict.task], known)
        log.info("image_inferred", tasks={name: v.code or "done" for name, v in reached.items()})
        return reached

    async def _verdicts(
        self, image_id: str, tasks: Sequence[str], known: Known, patient: bool
    ) -> AsyncGenerator[Verdict, None]:
        needs = {need for task in tasks for need in TASKS[task].needs if need not in tasks}
        uploaded = known.current(Uploaded)  # a replica that lags does not have it yet
        weight = self._examination.weight(uploaded, tasks) if uploaded is not None else 0
        async with self._in_hand.taken(weight):
            verdicts = self._examination.verdicts(
                await self.original(image_id),
                tasks,
                found=known.results(needs),
                without=[need for need in needs if known.failed(need)],
                patient=patient,
                of=image_id,
            )
            async with aclosing(verdicts):
                async for verdict in verdicts:
                    yield verdict

    async def hand_over(self, image_id: str, tasks: Iterable[str]) -> None:
        """Leave tasks to durables of their own: each with its own attempts, pause and end.

        What rests on another of them is asked for when that one is settled.
        """
        left = set(tasks)
        for task in left:
            if not left.intersection(TASKS[task].needs):
                await self._ask(image_id, task)

    async def follow_up(self, image_id: str, task: str) -> None:
        """Ask for what rests on a task that is settled now, once all of its needs are."""
        for dependant in dependants(task):
            known = await self.known(image_id)
            if known.overdue(dependant, TASKS[dependant].needs):
                await self.hand_over(image_id, [dependant])

    async def resolve(self, image_id: str, tasks: Iterable[str], known: Known) -> None:
        """Say that failures of tasks which have succeeded since are over."""
        for task in tasks:
            received = known.facts.get((Failed.kind, task))
            failed = received.event if received is not None else None
            if isinstance(failed, Failed) and not failed.resolved:
                await self._bus.publish(msgspec.structs.replace(failed, resolved=True))

    async def give_up(
        self, image_id: str, tasks: Iterable[str], error: Permanent, *, attempts: int
    ) -> None:
        """Say that `tasks` failed."""
        for task in tasks:
            await self._bus.publish(
                Failed(
                    image_id=image_id,
                    stage=task,
                    code=error.code,
                    message=error.message[:1000],
                    attempts=attempts,
                    failed_at=ids.now(),
                )
            )


def _too_large(verdict: Verdict) -> Verdict:
    message = f"the answer has more than {MOST_BYTES} bytes"
    return msgspec.structs.replace(verdict, result=None, code="result_too_large", message=message)


def _fact(image_id: str, verdict: Verdict, result: Result, attempts: int) -> Inferred:
    # every subclass of Inferred has the typed `result` that its task returns
    build = functools.partial(INFERRED[verdict.task], result=result)  # type: ignore[call-arg]
    return build(
        image_id=image_id,
        task=verdict.task,
        model=verdict.model,
        model_version=verdict.version,
        duration_ms=verdict.duration_ms,
        inferred_at=ids.now(),
        attempts=attempts,
    )
