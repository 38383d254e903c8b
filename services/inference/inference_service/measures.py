"""The metrics of this service alone, each declared once."""

from __future__ import annotations

from imagesystem.metrics import SECONDS, Metrics
from prometheus_client import Counter, Gauge, Histogram

__all__ = ["Measures"]


class Measures:
    """The inference metrics, in the registry of the process."""

    def __init__(self, metrics: Metrics) -> None:
        # done; else the code of the failure. A retry counts again.
        self.tasks = Counter(
            "inference_tasks_total",
            "Tasks run, by what became of them",
            ["task", "outcome"],
            registry=metrics.registry,
        )
        # Inside the worker, on the decoded picture.
        self.task_seconds = Histogram(
            "inference_task_seconds",
            "Seconds a task took for one picture",
            ["task"],
            buckets=SECONDS,
            registry=metrics.registry,
        )
        # Inside the worker, from bytes to an upright, reduced array; once per picture.
        self.decode_seconds = Histogram(
            "inference_decode_seconds",
            "Seconds the decoding of one picture took",
            buckets=SECONDS,
            registry=metrics.registry,
        )
        # Uploads and requests together.
        self.waiting = Gauge(
            "inference_waiting",
            "Pictures that wait for a worker process",
            registry=metrics.registry,
        )
