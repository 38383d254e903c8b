"""The questions that are asked of pictures, and what each rests on."""

from __future__ import annotations

import msgspec

from inference_service import labels

__all__ = ["TASKS", "Task", "dependants", "in_order"]


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A question that can be asked of any picture; `needs`: tasks whose answers it rests on."""

    name: str
    description: str
    needs: tuple[str, ...] = ()


#: In the order in which they are run: what is quick, and waited for, comes first.
TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="analysis",
            description="colours, light, texture, composition, kind and hashes",
        ),
        Task(name="embedding", description="what it looks like, as a vector"),
        Task(name="objects", description="people, cats, number plates, QR and bar codes"),
        Task(name="faces", description="faces and eyes"),
        Task(name="text", description="what is written, line by line"),
        Task(
            name="labels",
            description="words for the whole picture, derived from the other answers",
            needs=labels.NEEDS,
        ),
    )
}


def dependants(task: str) -> list[str]:
    """Return the tasks that rest on the answer of `task`."""
    return [other.name for other in TASKS.values() if task in other.needs]


def in_order(tasks: set[str]) -> list[str]:
    """Return tasks in the order in which they are run."""
    return [task for task in TASKS if task in tasks]
