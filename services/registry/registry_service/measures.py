"""The metrics of this service alone, each declared once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from imagesystem import tracing
from imagesystem.metrics import SECONDS, Metrics
from prometheus_client import Counter, Histogram

__all__ = ["Measures"]


class Measures:
    """The upload metrics, in the registry of the process."""

    def __init__(self, metrics: Metrics) -> None:
        # Where an upload's time goes: receive, validate, lookup, store, announce.
        self.stage_seconds = Histogram(
            "upload_stage_seconds",
            "Seconds an upload spends in a stage",
            ["stage"],
            buckets=SECONDS,
            registry=metrics.registry,
        )
        # accepted, duplicate, or the code of the refusal.
        self.uploads = Counter(
            "uploads_total",
            "Pictures sent, by what became of them",
            ["outcome"],
            registry=metrics.registry,
        )
        self.accepted_bytes = Counter(
            "upload_accepted_bytes_total",
            "Bytes of the pictures that were stored and announced",
            registry=metrics.registry,
        )

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage of an upload, as a span too."""
        with tracing.span(name), self.stage_seconds.labels(name).time():
            yield
