"""The metrics of this service alone, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imagesystem import tracing
from imagesystem.events import Objects, Text
from imagesystem.metrics import SECONDS, Metrics
from prometheus_client import Counter, Gauge, Histogram

from inference_service.looking import Decoded, Verdict

__all__ = ["Measures"]

TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Measures:
    """The inference metrics, in the registry of the process."""

    def __init__(self, metrics: Metrics) -> None:
        self.shared = metrics
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

    def decoded(self, told: Decoded) -> None:
        """Take in that a worker has just decoded a picture."""
        seconds = told.duration_ms / 1000
        self.decode_seconds.observe(seconds)
        tracing.record("decode", seconds)

    def judged(self, verdict: Verdict) -> None:
        """Take in what has just become of a task."""
        seconds = verdict.duration_ms / 1000
        self.tasks.labels(verdict.task, verdict.code or "done").inc()
        self.processing_seconds.labels(verdict.task).observe(seconds)
        tracing.record(f"infer {verdict.task}", seconds)
        self.found(verdict.result)

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
