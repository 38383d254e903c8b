"""The metrics of this service alone, each declared once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from imagesystem import tracing
from imagesystem.events import Objects, Text
from imagesystem.metrics import SECONDS, Metrics
from prometheus_client import Counter, Gauge, Histogram

from inference_service.looking import Verdict

__all__ = ["Measures", "Pace"]

#: Seconds over which the pace of models is told.
PACE_S = 60.0
TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Pictures that a task was answered for in the last minute: how many a second, how long each.

    `mean_ms` is None when there were none.
    """

    pictures: int
    per_s: float
    mean_ms: float | None


class _Paces:
    """When each task was answered, and how long it took; what is older than a minute is gone."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._answers: dict[str, deque[tuple[float, float]]] = {}

    def add(self, task: str, duration_ms: float) -> None:
        answers = self._answers.setdefault(task, deque())
        answers.append((self._clock(), duration_ms))
        self._forget(answers)

    def of(self, task: str) -> Pace:
        answers = self._answers.get(task, deque())
        self._forget(answers)
        count = len(answers)
        return Pace(
            pictures=count,
            per_s=round(count / PACE_S, 3),
            mean_ms=round(sum(ms for _, ms in answers) / count, 3) if count else None,
        )

    def _forget(self, answers: deque[tuple[float, float]]) -> None:
        oldest = self._clock() - PACE_S
        while answers and answers[0][0] < oldest:
            answers.popleft()


class Measures:
    """The inference metrics, in the registry of the process."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self.shared = metrics
        self._paces = _Paces(clock)
        # done; else the code of the failure. A retry counts again.
        self.tasks = Counter(
            "inference_tasks_total",
            "Tasks run, by what became of them",
            ["task", "outcome"],
            registry=metrics.registry,
        )
        # Inside the worker, on the decoded picture.
        self.processing_seconds = Histogram(
            "image_processing_duration_seconds",
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
        # Of every line that was read: how sure the model is, 0 to 1.
        self.ocr_confidence = Histogram(
            "ocr_confidence_score",
            "Confidence of the lines of text that were read",
            buckets=TENTHS,
            registry=metrics.registry,
        )
        # Of all detectors, by what was found.
        self.objects_detected = Counter(
            "objects_detected_total",
            "Objects found in pictures",
            ["label"],
            registry=metrics.registry,
        )

    def decoded(self, duration_ms: float) -> None:
        """Take in that a worker has just decoded a picture."""
        seconds = duration_ms / 1000
        self.decode_seconds.observe(seconds)
        tracing.record("decode", seconds)

    def judged(self, verdict: Verdict) -> None:
        """Take in what has just become of a task."""
        seconds = verdict.duration_ms / 1000
        self.tasks.labels(verdict.task, verdict.code or "done").inc()
        self.processing_seconds.labels(verdict.task).observe(seconds)
        tracing.record(f"infer {verdict.task}", seconds)
        self.found(verdict.result)
        if verdict.result is not None:
            self._paces.add(verdict.task, verdict.duration_ms)

    def pace(self, task: str) -> Pace:
        """Return how fast a task was answered in the last minute."""
        return self._paces.of(task)

    def found(self, result: object) -> None:
        """Count what a result says was found."""
        count = FOUND.get(type(result))
        if count is not None:
            count(self, result)


def _text(measures: Measures, text: Text) -> None:
    for line in text.lines:
        measures.ocr_confidence.observe(line.confidence)


def _objects(measures: Measures, objects: Objects) -> None:
    for found in objects.objects:
        measures.objects_detected.labels(found.label).inc()


#: What is counted in a result, by its type.
FOUND: dict[type, Callable[[Measures, Any], None]] = {Text: _text, Objects: _objects}
