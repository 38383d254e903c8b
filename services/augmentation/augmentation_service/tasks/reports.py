"""How a task is told to clients: its progress, and pages of its results."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, TypeAlias

import msgspec
from imagesystem import ids
from imagesystem.bus import Bus
from imagesystem.errors import Rejected
from imagesystem.manifests import Problem
from imagesystem.topology import CONSUMERS

from augmentation_service.tasks.documents import Kind, Outcome, Result, Task
from augmentation_service.tasks.exports import EXPORTS
from augmentation_service.tasks.ledger import Ledger, Tally

__all__ = ["Failure", "Item", "Links", "Reports", "Results", "TaskList", "TaskReport"]

Status: TypeAlias = Literal[
    "resolving", "planning", "running", "paused", "done", "failed", "cancelled"
]
#: Failures told with the task; all of them come in pages of results.
_FAILURES_TOLD = 20
UNITS = CONSUMERS["augmentation-units"]


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Where to go from a task."""

    self: str
    results: str
    failures: str
    zip: str
    webdataset: str
    coco: str
    yolo: str
    voc: str
    cancel: str
    pause: str
    resume: str


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A unit that failed for good, and why."""

    number: int
    image_id: str | None
    variant: int
    code: str
    message: str
    attempts: int


class TaskReport(msgspec.Struct, frozen=True, kw_only=True):
    """A task and how far it is.

    `status`: `resolving` (its query is being resolved, `total` is not known), `planning` (its
    units are being queued, the first may be done), `running`, `paused`, `done` (all ended, some
    perhaps failed), `failed` (all ended, all failed, or a `problem` with the whole), `cancelled`.
    `progress` is the share of units that ended; `rate_per_s` units that ended per second since it
    began; `seconds_left` at that rate. `failures`: the first twenty. `paused_until`: all tasks
    are paused until then.
    """

    id: str
    kind: Kind
    status: Status
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime
    total: int
    planned: int
    done: int
    failed: int
    progress: float
    rate_per_s: float | None
    seconds_left: float | None
    failures: list[Failure]
    problem: Problem | None
    paused_until: datetime | None
    recipe_name: str | None
    links: Links


class TaskList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of tasks, oldest first; `next_cursor` is None on the last one."""

    items: list[TaskReport]
    next_cursor: int | None


class Item(Result, frozen=True, kw_only=True, omit_defaults=True):
    """A result of a task; `url` leads to the picture, if it is one."""

    url: str | None = None


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """A page of results, in the order they came; `next_cursor` is None where there are no more."""

    task_id: str
    items: list[Item]
    next_cursor: int | None


class Reports:
    """What the routes that tell about tasks call; `ttl_s`: how long tasks are kept."""

    def __init__(self, bus: Bus, ledger: Ledger, ttl_s: float) -> None:
        self._bus = bus
        self._ledger = ledger
        self._ttl = timedelta(seconds=ttl_s)

    async def task(self, task_id: str) -> Task:
        """Return the task; raises `Rejected` 404 `unknown_task`."""
        task = await self._ledger.task(task_id, fresh=True) if _is_id(task_id) else None
        if task is None:
            raise Rejected(
                404, "unknown_task", f"there is no task {task_id[:64]!r}, or its time is over"
            )
        return task

    async def report(self, task: Task) -> TaskReport:
        """Return how far the task is."""
        tally = await self._ledger.tally(task.task_id)
        failures: list[Result] = []
        if tally.failed:
            failures, _ = await self._ledger.results(task.task_id, "failed", limit=_FAILURES_TOLD)
        status = _status(task, tally)
        over = status in ("done", "failed", "cancelled")
        ended = tally.done + tally.failed
        rate = _rate(task, tally, over=over)
        return TaskReport(
            id=task.task_id,
            kind=task.kind,
            status=status,
            created_at=task.created_at,
            finished_at=tally.last_at if over else None,
            expires_at=task.created_at + self._ttl,
            total=task.total,
            planned=tally.planned,
            done=tally.done,
            failed=tally.failed,
            progress=round(ended / task.total, 4) if task.total else 0.0,
            rate_per_s=rate,
            seconds_left=None if over or not rate else round((task.total - ended) / rate, 1),
            failures=[_failure(result) for result in failures],
            problem=tally.problem,
            paused_until=None if over else await self._bus.paused_until(UNITS),
            recipe_name=task.recipe_name,
            links=_links(task.task_id),
        )

    async def reports(self, after: int, limit: int) -> TaskList:
        """Return a page of tasks."""
        tasks, last = await self._ledger.tasks(after, limit)
        items = [await self.report(task) for task in tasks]
        return TaskList(items=items, next_cursor=last if len(tasks) == limit else None)

    async def results(self, task: Task, outcome: Outcome, after: int, limit: int) -> Results:
        """Return a page of results."""
        found, last = await self._ledger.results(task.task_id, outcome, after=after, limit=limit)
        return Results(
            task_id=task.task_id,
            items=[_item(task.task_id, result) for result in found],
            next_cursor=last if len(found) == limit else None,
        )

    async def result(self, task: Task, variant_id: str) -> Result:
        """Return one result that is a picture.

        Raises `Rejected`: 404 `unknown_variant`, `not_made_yet`; 410 `unit_failed`.
        """
        number = task.numbered(variant_id)
        if number is None:
            raise Rejected(404, "unknown_variant", f"the task has no variant {variant_id[:64]!r}")
        result = await self._ledger.result(task.task_id, number)
        if result is None:
            raise Rejected(404, "not_made_yet", f"{variant_id} is not made (yet)")
        if result.outcome == "failed":
            raise Rejected(410, "unit_failed", f"{variant_id}: {result.code}: {result.message}")
        return result


def _is_id(text: str) -> bool:
    return len(text) == 36 and all(mark in "0123456789abcdef-" for mark in text)


def _status(task: Task, tally: Tally) -> Status:
    if tally.problem is not None:
        return "failed"
    if task.total and tally.done + tally.failed >= task.total:
        return "done" if tally.done else "failed"
    if tally.phase in ("paused", "cancelled"):
        return tally.phase
    if tally.phase is None:
        return "cancelled"
    if not task.total:
        return "resolving"
    return "planning" if tally.planned < task.total else "running"


def _rate(task: Task, tally: Tally, *, over: bool) -> float | None:
    ended = tally.done + tally.failed
    if tally.last_at is None or not ended:
        return None
    until = tally.last_at if over else ids.now()
    seconds = (until - task.created_at).total_seconds()
    return round(ended / seconds, 3) if seconds > 0 else None


def _failure(result: Result) -> Failure:
    return Failure(
        number=result.number,
        image_id=result.image_id,
        variant=result.variant,
        code=result.code or "",
        message=result.message or "",
        attempts=result.attempts,
    )


def _item(task_id: str, result: Result) -> Item:
    made = result.outcome == "done"
    url = f"/augmentation/results/{task_id}/{result.variant_id}" if made else None
    return Item(**msgspec.structs.asdict(result), url=url)


def _links(task_id: str) -> Links:
    return Links(
        self=f"/augmentation/tasks/{task_id}",
        results=f"/augmentation/results/{task_id}",
        failures=f"/augmentation/results/{task_id}?outcome=failed",
        cancel=f"/augmentation/tasks/{task_id}/cancel",
        pause=f"/augmentation/tasks/{task_id}/pause",
        resume=f"/augmentation/tasks/{task_id}/resume",
        **{name: f"/augmentation/results/{task_id}?format={name}" for name in EXPORTS},
    )
