"""The metrics of this service alone, each declared once."""

from __future__ import annotations

from imagesystem.metrics import SECONDS, Metrics
from prometheus_client import Counter, Gauge, Histogram

__all__ = ["Measures"]


class Measures:
    """The rendition metrics, in the registry of the process."""

    def __init__(self, metrics: Metrics) -> None:
        # hit: from the cache; made; joined: another request was making it; refused; busy;
        # transformed: a file, nothing kept.
        self.renditions = Counter(
            "renditions_total",
            "Renditions asked for, by what became of them",
            ["outcome"],
            registry=metrics.registry,
        )
        # From the fetched original to the encoded bytes, a wait for a worker included.
        self.rendering_seconds = Histogram(
            "rendition_rendering_seconds",
            "Seconds from original to rendition",
            ["format"],
            buckets=SECONDS,
            registry=metrics.registry,
        )
        # kept, skipped (too many being written), failed, late (the image was deleted meanwhile).
        self.cache_writes = Counter(
            "rendition_cache_writes_total",
            "Renditions to be cached, by what became of them",
            ["outcome"],
            registry=metrics.registry,
        )
        self.shelved = Gauge(
            "rendition_memory_bytes",
            "Bytes of renditions held in memory",
            registry=metrics.registry,
        )
        self.dropped = Counter(
            "rendition_cache_dropped_total",
            "Cached renditions dropped because their image was deleted",
            registry=metrics.registry,
        )
