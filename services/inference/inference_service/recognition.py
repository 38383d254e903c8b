"""What the service knows how to do: look at a picture once, and say each task's verdict."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from imagesystem import ids, logs
from imagesystem.bus import Bus, Received
from imagesystem.errors import ImageDeleted, ObjectMissing, Permanent, Rejected, Transient
from imagesystem.events import (
    INFERRED,
    Deleted,
    Fact,
    Failed,
    Infer,
    Inferred,
    Planned,
    Uploaded,
)
from imagesystem.objects import Bucket
from imagesystem.workers import WorkerDied, WorkerPool

from inference_service.measures import Measures
from inference_service.tasks import TASKS, Limits, Outcome, Result, Verdict, analyse

__all__ = ["Known", "Recognition", "TasksFailed"]

log = logs.get(__name__)

#: Pictures that may wait for each worker before whoever asks over HTTP is turned away.
MOST_WAITING = 16


class TasksFailed(Permanent):
    """Some tasks failed for good while the picture was read; `failures`: code and message each."""

    code = "tasks_failed"

    def __init__(self, failures: Mapping[str, tuple[str, str]]) -> None:
        told = "; ".join(f"{task}: {message}" for task, (_, message) in failures.items())
        super().__init__(told, code=next(code for code, _ in failures.values()))
        self.failures = dict(failures)


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the log says about an image: its facts by kind and key, with their sequences."""

    facts: Mapping[tuple[str, str | None], Received[Fact]]

    def sequence(self, kind: type[Fact], key: str | None = None) -> int:
        """Return the sequence of a fact, 0 if there is none."""
        found = self.facts.get((kind.kind, key))
        return found.sequence if found else 0

    def done(self, task: str) -> bool:
        """Whether the task's answer, by the model in use, is newer than the upload."""
        found = self.facts.get((Inferred.kind, task))
        if found is None or found.sequence < self.sequence(Uploaded):
            return False
        fact, row = found.event, TASKS[task]
        return isinstance(fact, Inferred) and (
            (fact.model, fact.model_version) == (row.model, row.version)
        )

    def plan(self) -> Sequence[str]:
        """Return the tasks planned for this upload, none if nothing was planned yet."""
        found = self.facts.get((Planned.kind, None))
        if found is None or found.sequence < self.sequence(Uploaded):
            return ()
        return found.event.tasks if isinstance(found.event, Planned) else ()


class Recognition:
    """Pictures in, facts out; `pool` has the worker processes that see the pixels."""

    def __init__(
        self,
        bus: Bus,
        originals: Bucket,
        pool: WorkerPool,
        limits: Limits,
        measures: Measures,
        *,
        deadline_s: float,
    ) -> None:
        self._bus = bus
        self._originals = originals
        self._pool = pool
        self._limits = limits
        self._measures = measures
        self._deadline_s = deadline_s
        measures.waiting.set_function(lambda: pool.waiting)

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

    async def look(self, data: bytes, tasks: Sequence[str]) -> Outcome:
        """Run `tasks` on the picture in `data`, in a worker process.

        Raises what `analyse` raises, `WorkerDied`, or `Transient` `deadline_exceeded`.
        """
        outcome = await self._pool.run(
            analyse, data, tuple(tasks), self._limits, deadline_s=self._deadline_s
        )
        self._measures.looked(outcome)
        return outcome

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

    async def uploaded(self, image_id: str) -> bytes:
        """Return the bytes of an image for somebody who asks.

        Raises `Rejected` 404 `unknown_image`, `ImageDeleted`, `Transient` (`object_missing`).
        """
        if not (await self.known(image_id)).sequence(Uploaded):
            raise Rejected(404, "unknown_image", f"there is no image {image_id}")
        return await self.original(image_id)

    async def request(self, command: Infer) -> None:
        """Ask for a task to be run again; raises as `uploaded` does."""
        if not (await self.known(command.image_id)).sequence(Uploaded):
            raise Rejected(404, "unknown_image", f"there is no image {command.image_id}")
        await self._bus.publish(command)
        self._measures.shared.tasks_queued.labels(command.task).inc()

    async def answer(self, data: bytes, task: str) -> tuple[Result, float]:
        """Return one task's result, for somebody who waits, and the milliseconds it took.

        Raises `Rejected`: what decoding raises, 422 `unprocessable_picture` (it kills its
        worker), 422 and the task's own code; `Transient`: `too_busy`, `deadline_exceeded`.
        """
        if self._pool.waiting >= MOST_WAITING * self._pool.size:
            raise Transient("too many pictures are waiting for a worker", code="too_busy")
        try:
            outcome = await self.look(data, [task])
        except WorkerDied as error:
            raise Rejected(
                422, "unprocessable_picture", "the picture cannot be processed: its worker died"
            ) from error
        (verdict,) = outcome.verdicts
        if verdict.result is None:
            if verdict.transient:
                raise Transient(verdict.message, code=verdict.code)
            raise Rejected(422, verdict.code, verdict.message)
        return verdict.result, verdict.duration_ms

    async def infer(
        self, image_id: str, tasks: Sequence[str], known: Known, *, attempts: int
    ) -> None:
        """Run `tasks` on the original and say what came out: facts, or the error of the rest.

        Raises `Transient` when a task may work later, else `TasksFailed` when one never will.
        """
        outcome = await self.look(await self.original(image_id), tasks)
        for verdict in outcome.verdicts:
            if verdict.result is not None:
                await self._bus.publish(_fact(image_id, verdict, verdict.result, attempts))
                await self._resolve(image_id, verdict.task, known)
        log.info(
            "image_inferred",
            decode_ms=outcome.decode_ms,
            tasks={verdict.task: verdict.code or "done" for verdict in outcome.verdicts},
        )
        _raise_for([verdict for verdict in outcome.verdicts if verdict.result is None])

    async def resolve(self, image_id: str, tasks: Iterable[str], known: Known) -> None:
        """Say that failures of tasks which have succeeded since are over."""
        for task in tasks:
            await self._resolve(image_id, task, known)

    async def _resolve(self, image_id: str, task: str, known: Known) -> None:
        received = known.facts.get((Failed.kind, task))
        failed = received.event if received is not None else None
        if isinstance(failed, Failed) and not failed.resolved:
            await self._bus.publish(msgspec.structs.replace(failed, resolved=True))

    async def give_up(
        self, image_id: str, tasks: Iterable[str], error: Permanent, *, attempts: int
    ) -> None:
        """Say that `tasks` failed: each for its own reason if `error` knows it."""
        failures = error.failures if isinstance(error, TasksFailed) else {}
        for task in tasks:
            code, message = failures.get(task, (error.code, error.message))
            await self._bus.publish(
                Failed(
                    image_id=image_id,
                    stage=task,
                    code=code,
                    message=message[:1000],
                    attempts=attempts,
                    failed_at=ids.now(),
                )
            )


def _raise_for(failed: Sequence[Verdict]) -> None:
    for verdict in failed:
        if verdict.transient:
            raise Transient(f"{verdict.task}: {verdict.message}", code=verdict.code)
    if failed:
        raise TasksFailed({verdict.task: (verdict.code, verdict.message) for verdict in failed})


def _fact(image_id: str, verdict: Verdict, result: Result, attempts: int) -> Inferred:
    task = TASKS[verdict.task]
    # every subclass of Inferred has the typed `result` that its task returns
    build = functools.partial(INFERRED[task.name], result=result)  # type: ignore[call-arg]
    return build(
        image_id=image_id,
        task=task.name,
        model=task.model,
        model_version=task.version,
        duration_ms=verdict.duration_ms,
        inferred_at=ids.now(),
        attempts=attempts,
    )
