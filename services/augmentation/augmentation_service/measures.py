"""The metrics of this service alone, each declared once."""

from __future__ import annotations

from imagesystem.metrics import SECONDS, Metrics
from prometheus_client import Counter, Histogram

__all__ = ["Measures"]


class Measures:
    """The augmentation metrics, in the registry of the process."""

    def __init__(self, metrics: Metrics) -> None:
        self.shared = metrics
        # made; refused: the picture or the recipe; busy: too many wait; failed: anything else.
        self.previews = Counter(
            "augmentation_previews_total",
            "Previews asked for, by what became of them",
            ["outcome"],
            registry=metrics.registry,
        )
        # Decoding, every step, encoding, and a wait for the worker while it ends the one before.
        self.preview_seconds = Histogram(
            "augmentation_preview_seconds",
            "Seconds a worker took for a preview",
            ["format"],
            buckets=SECONDS,
            registry=metrics.registry,
        )
        # done; failed: for good, with a reason in the task.
        self.units = Counter(
            "augmentation_units_total",
            "Units of tasks that came to an end, by how",
            ["outcome"],
            registry=metrics.registry,
        )
        self.variants_dropped = Counter(
            "augmentation_variants_dropped_total",
            "Variants deleted because their image was deleted",
            registry=metrics.registry,
        )
