"""The state of tasks in the key-value bucket `tasks`.

::

    augmentation.<task>.task           the task, once
    augmentation.<task>.images         the images that its query found, once
    augmentation.<task>.problem        why it cannot be done
    augmentation.<task>.plan           how many of its units were published; `plan-<n>` after the
                                       n-th time that it was resumed
    augmentation.<task>.state          open, paused, cancelled, and how often it was resumed; not
                                       there: not begun, or expired
    augmentation.<task>.<n>.done       the result of a unit: one of
    augmentation.<task>.<n>.failed     these two, once, and for good

A unit's result is written if there is none, which the server decides, and before the command is
acknowledged: however often a unit is delivered, and to whom, it counts once. Counts are the
server's counts of keys, and so nothing has to be kept in step.

While a task is paused its commands are dropped as they come. To resume is to plan again, from a
count of its own, what has no result: a plan of before that still runs cannot get in its way.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec
from imagesystem.errors import WrongSequence
from imagesystem.keyvalue import Entry, KeyValue
from imagesystem.manifests import Problem

from augmentation_service.tasks.documents import Outcome, Result, Task

__all__ = ["Ledger", "State", "Tally"]

_TASKS_HELD = 32
_Phase: TypeAlias = Literal["open", "paused", "cancelled"]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Whether units may be made; `resumed`: how often the task went on after a pause."""

    phase: _Phase
    resumed: int = 0


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How far a task is; `last_at`: when its last result was written."""

    planned: int
    done: int
    failed: int
    phase: _Phase | None
    last_at: datetime | None
    problem: Problem | None


class Ledger:
    """Reads and writes the state of tasks."""

    def __init__(self, keys: KeyValue) -> None:
        self._keys = keys
        self._held: OrderedDict[str, Task] = OrderedDict()

    async def create(self, task: Task) -> None:
        """Write a new task down, and then that its units may be made."""
        await self._keys.put(_key(task.task_id, "task"), msgspec.json.encode(task), expected=0)
        await self._keys.put(_key(task.task_id, "state"), b"open", expected=0)

    async def task(self, task_id: str, *, fresh: bool = False) -> Task | None:
        """Return the task, or None if there is none; unless `fresh`, from memory if it is there."""
        if not fresh and task_id in self._held:
            self._held.move_to_end(task_id)
            return self._held[task_id]
        entry = await self._keys.get(_key(task_id, "task"))
        if entry is None:
            self._held.pop(task_id, None)
            return None
        task = await self._with_images(msgspec.json.decode(entry.value, type=Task))
        if task.total:
            self._held[task_id] = task
            while len(self._held) > _TASKS_HELD:
                self._held.popitem(last=False)
        return task

    async def _with_images(self, task: Task) -> Task:
        if task.query is None:
            return task
        entry = await self._keys.get(_key(task.task_id, "images"))
        if entry is None:
            return task
        images = msgspec.json.decode(entry.value, type=list[str])
        return msgspec.structs.replace(task, images=images)

    async def tasks(self, after: int, limit: int) -> tuple[list[Task], int]:
        """Return tasks written after a revision, oldest first, and the last one's revision."""
        found = await self._keys.entries(_key("*", "task"), after=after, limit=limit)
        tasks = [
            await self._with_images(msgspec.json.decode(entry.value, type=Task)) for entry in found
        ]
        return tasks, found[-1].revision if found else after

    async def note_images(self, task_id: str, images: Sequence[str]) -> None:
        """Write down what the task's query found; the first list stays."""
        with suppress(WrongSequence):
            await self._keys.put(_key(task_id, "images"), msgspec.json.encode(images), expected=0)

    async def note_problem(self, task_id: str, problem: Problem) -> None:
        """Write down that the task cannot be done, and why."""
        await self._keys.put(_key(task_id, "problem"), msgspec.json.encode(problem))
        await self.cancel(task_id)

    async def planned(self, task_id: str, resumed: int = 0) -> int:
        """Return how many units were published since it was resumed; all before that number."""
        entry = await self._keys.get(_plan(task_id, resumed))
        return int(entry.value) if entry else 0

    async def note_planned(self, task_id: str, planned: int, resumed: int = 0) -> None:
        """Write down that the units before that number were published; never takes any back."""
        key = _plan(task_id, resumed)
        while True:
            held = await self._keys.get(key)
            if held is not None and int(held.value) >= planned:
                return
            try:
                expected = held.revision if held else 0
                await self._keys.put(key, str(planned).encode(), expected=expected)
            except WrongSequence:
                continue
            return

    async def cancel(self, task_id: str) -> None:
        """Write down that no more units shall be made."""
        await self._keys.put(_key(task_id, "state"), b"cancelled")

    async def pause(self, task_id: str) -> State | None:
        """Write down that no units shall be made for now; returns what is written then.

        What is paused or cancelled stays as it is.
        """
        return await self._turn(task_id, "open", "paused", 0)

    async def resume(self, task_id: str) -> State | None:
        """Write down that a paused task goes on; returns what is written then."""
        return await self._turn(task_id, "paused", "open", 1)

    async def _turn(self, task_id: str, before: _Phase, after: _Phase, more: int) -> State | None:
        key = _key(task_id, "state")
        while True:
            entry = await self._keys.get(key)
            if entry is None:
                return None
            state = _state(entry)
            if state.phase != before:
                return state
            turned = State(phase=after, resumed=state.resumed + more)
            try:
                value = f"{turned.phase}:{turned.resumed}".encode()
                await self._keys.put(key, value, expected=entry.revision)
            except WrongSequence:
                continue
            return turned

    async def state(self, task_id: str) -> State | None:
        """Return whether units may be made; None: the task was not begun, or is gone."""
        entry = await self._keys.get(_key(task_id, "state"))
        return None if entry is None else _state(entry)

    async def is_open(self, task_id: str) -> bool:
        """Return whether units of the task may be made now."""
        state = await self.state(task_id)
        return state is not None and state.phase == "open"

    async def record(self, task_id: str, result: Result) -> bool:
        """Write a unit's result down; False, and nothing written, if it has one."""
        unit = f"{result.number}"
        try:
            await self._keys.put(
                _key(task_id, unit, result.outcome),
                msgspec.json.encode(result),
                expected=0,
                among=_key(task_id, unit, "*"),
            )
        except WrongSequence:
            return False
        return True

    async def result(self, task_id: str, number: int) -> Result | None:
        """Return what became of a unit, None if nothing yet."""
        entry = await self._keys.last(_key(task_id, str(number), "*"))
        return None if entry is None else _result(entry)

    async def results(
        self, task_id: str, outcome: Outcome, *, after: int = 0, limit: int = 1000
    ) -> tuple[list[Result], int]:
        """Return results written after a revision, oldest first, and the last one's revision."""
        found = await self._keys.entries(_key(task_id, "*", outcome), after=after, limit=limit)
        return [_result(entry) for entry in found], found[-1].revision if found else after

    async def tally(self, task_id: str) -> Tally:
        """Return how far the task is."""
        last = await self._keys.last(_key(task_id, "*", "*"))
        state = await self.state(task_id)
        problem = await self._keys.get(_key(task_id, "problem"))
        return Tally(
            planned=await self.planned(task_id, state.resumed if state else 0),
            done=await self._keys.count(_key(task_id, "*", "done")),
            failed=await self._keys.count(_key(task_id, "*", "failed")),
            phase=state.phase if state else None,
            last_at=last.written_at if last else None,
            problem=msgspec.json.decode(problem.value, type=Problem) if problem else None,
        )

    async def forget(self, task_id: str) -> None:
        """Remove everything about a task, the task itself last: an interrupted end is resumed."""
        for key in ("state", "*.*", "*"):  # the last has the task, and goes at one stroke
            await self._keys.remove(_key(task_id, key))
        self._held.pop(task_id, None)


def _key(*tokens: str) -> str:
    return ".".join(("augmentation", *tokens))


def _plan(task_id: str, resumed: int) -> str:
    return _key(task_id, f"plan-{resumed}" if resumed else "plan")


def _state(entry: Entry) -> State:
    phase, _, resumed = entry.value.decode().partition(":")
    return msgspec.convert({"phase": phase, "resumed": int(resumed or 0)}, State)


def _result(entry: Entry) -> Result:
    return msgspec.json.decode(entry.value, type=Result)
