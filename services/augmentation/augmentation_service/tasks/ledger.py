"""The state of tasks in the key-value bucket `tasks`.

::

    augmentation.<task>.task           the task, once
    augmentation.<task>.plan           how many of its units were published
    augmentation.<task>.state          `open`, or `cancelled`; not there: not begun, or expired
    augmentation.<task>.<n>.done       the result of a unit: one of
    augmentation.<task>.<n>.failed     these two, once, and for good

A unit's result is written if there is none, which the server decides, and before the command is
acknowledged: however often a unit is delivered, and to whom, it counts once. Counts are the
server's counts of keys, and so nothing has to be kept in step.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Literal

import msgspec
from imagesystem.errors import WrongSequence
from imagesystem.keyvalue import Entry, KeyValue

from augmentation_service.tasks.documents import Outcome, Result, Task

__all__ = ["Ledger", "Tally"]

_TASKS_HELD = 32


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How far a task is; `last_at`: when its last result was written."""

    planned: int
    done: int
    failed: int
    cancelled: bool
    last_at: datetime | None


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
        self._held[task_id] = task = msgspec.json.decode(entry.value, type=Task)
        while len(self._held) > _TASKS_HELD:
            self._held.popitem(last=False)
        return task

    async def tasks(self, after: int, limit: int) -> tuple[list[Task], int]:
        """Return tasks written after a revision, oldest first, and the last one's revision."""
        found = await self._keys.entries(_key("*", "task"), after=after, limit=limit)
        tasks = [msgspec.json.decode(entry.value, type=Task) for entry in found]
        return tasks, found[-1].revision if found else after

    async def planned(self, task_id: str) -> int:
        """Return how many units were published; all before that number were."""
        entry = await self._keys.get(_key(task_id, "plan"))
        return int(entry.value) if entry else 0

    async def note_planned(self, task_id: str, planned: int) -> None:
        """Write down that the units before that number were published; never takes any back."""
        key = _key(task_id, "plan")
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

    async def state(self, task_id: str) -> Literal["open", "cancelled"] | None:
        """Return whether units may be made; None: the task was not begun, or is gone."""
        entry = await self._keys.get(_key(task_id, "state"))
        if entry is None:
            return None
        return "open" if entry.value == b"open" else "cancelled"

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
        return Tally(
            planned=await self.planned(task_id),
            done=await self._keys.count(_key(task_id, "*", "done")),
            failed=await self._keys.count(_key(task_id, "*", "failed")),
            cancelled=await self.state(task_id) != "open",
            last_at=last.written_at if last else None,
        )

    async def forget(self, task_id: str) -> None:
        """Remove everything about a task, the task itself last: an interrupted end is resumed."""
        for key in ("state", "*.*", "plan", "task"):
            await self._keys.remove(_key(task_id, key))
        self._held.pop(task_id, None)


def _key(*tokens: str) -> str:
    return ".".join(("augmentation", *tokens))


def _result(entry: Entry) -> Result:
    return msgspec.json.decode(entry.value, type=Result)
