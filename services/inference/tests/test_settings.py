from __future__ import annotations

import pytest
from inference_service import settings as module
from inference_service.settings import Settings
from inference_service.tasks import TASKS

MIB = 1024**2


@pytest.mark.parametrize(
    ("tasks", "cores", "memory", "workers"),
    [
        (",".join(TASKS), 16, 3072 * MIB, 5),
        ("analysis,faces", 16, 3072 * MIB, 16),
        ("text", 2, 64_000 * MIB, 2),
        ("text", 4, 100 * MIB, 1),
    ],
)
def test_there_are_no_more_workers_than_cores_and_memory_for_them(
    monkeypatch: pytest.MonkeyPatch, tasks: str, cores: int, memory: int, workers: int
) -> None:
    monkeypatch.setattr(module, "usable_cores", lambda: cores)
    monkeypatch.setattr(module, "usable_memory", lambda: memory)
    assert Settings(tasks=tasks).worker_count == workers
    assert Settings(tasks=tasks, workers=7).worker_count == 7


def test_tasks_are_planned_once_and_in_the_order_in_which_they_run() -> None:
    assert Settings(tasks="labels,text,analysis,text").planned_tasks == (
        "analysis",
        "text",
        "labels",
    )
