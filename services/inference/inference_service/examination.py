"""Having a picture looked at: the worker processes, what they tell, and what they die of."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress

from imagesystem.errors import Transient, Unavailable
from imagesystem.events import Uploaded
from imagesystem.workers import WorkerPool

from inference_service.breakers import Breakers
from inference_service.decoding import decoded_bytes
from inference_service.looking import LEAST_SIDE, Began, Limits, Told, Verdict, look
from inference_service.measures import Measures
from inference_service.models import Findings, Model, Models, Result
from inference_service.overlays import draw
from inference_service.tasks import TASKS, in_order

__all__ = ["Examination"]


class Examination:
    """Pictures in, verdicts out, each as soon as it is reached."""

    def __init__(
        self,
        pool: WorkerPool,
        models: Models,
        limits: Limits,
        measures: Measures,
        *,
        deadline_s: float,
        wait_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pool = pool
        self.models = models
        self.breakers = Breakers(tuple(TASKS), clock)
        # another model is not to blame for what the one before did
        models.listen(lambda model: self.breakers[model.task].succeeded())
        self._limits = limits
        self._measures = measures
        self._deadline_s = deadline_s
        self._wait_s = wait_s

    def weight(self, uploaded: Uploaded, tasks: Sequence[str]) -> int:
        """Return how many bytes a picture takes while it is looked at, as a file and as pixels."""
        side = max(LEAST_SIDE, *(self.models[task].side for task in tasks))
        pixels = decoded_bytes(uploaded.width, uploaded.height, uploaded.media_type, side)
        return uploaded.size_bytes + pixels

    async def verdicts(
        self,
        data: bytes,
        tasks: Sequence[str],
        *,
        found: Findings | None = None,
        without: Sequence[str] = (),
        patient: bool = False,
        of: str = "",
    ) -> AsyncGenerator[Verdict, None]:
        """Yield the verdict of each task, in the order of the table, on one decode.

        What a task needs is taken from `found`; what is not there is looked for first (and its
        verdict yielded too), unless it is `without` an answer for good. A task gets no verdict
        when something that it needs fails here. A task that kills the worker, or takes too long,
        is found out, and the rest is run without it.

        A failure counts against the model when it is `of` an image that was uploaded: nobody who
        merely asks can make others go without.

        Raises what `look` raises, `Transient` `worker_died` or `deadline_exceeded` when no task
        had begun; `Unavailable` when no worker was free in time for an image that was uploaded.
        """
        queue: asyncio.Queue[Verdict | None] = asyncio.Queue()
        work = asyncio.create_task(
            self._examine(
                data,
                self._with_needs(tasks, found or {}, without),
                dict(found or {}),
                tell=queue.put_nowait,
                patient=patient,
                of=of,
            )
        )
        work.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (verdict := await queue.get()) is not None:
                yield verdict
            await work
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await work

    async def drawn(self, data: bytes, task: str, result: Result, side: int) -> bytes:
        """Return a PNG of the picture with what a task found; raises as `decode` does."""
        return await self.pool.run(
            functools.partial(draw, side=side, max_pixels=self._limits.max_pixels),
            data,
            task,
            result,
            deadline_s=self._deadline_s,
            called=f"draw {task}",
        )

    def _with_needs(
        self, tasks: Sequence[str], found: Findings, without: Sequence[str]
    ) -> list[Model]:
        wanted = set(tasks)
        for task in tasks:
            needs = TASKS[task].needs
            wanted.update(need for need in needs if need not in found and need not in without)
        return [self.models[task] for task in in_order(wanted)]

    async def _examine(
        self,
        data: bytes,
        models: list[Model],
        found: dict[str, Result],
        *,
        tell: Callable[[Verdict], None],
        patient: bool,
        of: str,
    ) -> None:
        left, failed = list(models), set[str]()

        def judged(verdict: Verdict) -> None:
            if verdict.result is None:
                failed.add(verdict.task)
            else:
                found[verdict.task] = verdict.result
            self._take_note(verdict, of)
            tell(verdict)

        while left:
            heard = _Heard(judged, self._measures)
            try:
                await self.pool.stream(
                    look,
                    data,
                    tuple(left),
                    found,
                    self._limits,
                    tell=heard.take,
                    deadline_s=self._deadline_s,
                    called="look " + " ".join(model.task for model in left),
                    patient=patient,
                    wait_s=self._wait_s if of else None,
                )
            except Unavailable:
                raise
            except Transient as error:
                if heard.running is None:
                    raise  # nothing had begun: the picture as a whole is to blame, or nobody
                guilty = next(model for model in left if model.task == heard.running)
                heard.take(_lost(guilty, error))
            else:
                return
            left = [
                model
                for model in left[left.index(guilty) + 1 :]
                if not failed.intersection(TASKS[model.task].needs)
            ]

    def _take_note(self, verdict: Verdict, of: str) -> None:
        self._measures.judged(verdict)
        if verdict.result is not None:
            self.breakers[verdict.task].succeeded()
        elif verdict.fault and of:
            self.breakers[verdict.task].failed(of, f"{verdict.code}: {verdict.message}")


class _Heard:
    """What a worker tells, and which task it is at."""

    def __init__(self, judged: Callable[[Verdict], None], measures: Measures) -> None:
        self._judged = judged
        self._measures = measures
        self.running: str | None = None

    def take(self, told: Told) -> None:
        """Take in one thing told."""
        match told:
            case Began():
                if told.decoded_ms is not None:
                    self._measures.decoded(told.decoded_ms)
                self.running = told.task
            case Verdict():
                self.running = None
                self._judged(told)


def _lost(model: Model, error: Transient) -> Verdict:
    return Verdict(
        task=model.task,
        model=model.name,
        version=model.version,
        duration_ms=0.0,
        code=error.code,
        message=error.message,
        transient=True,
        fault=True,
    )
