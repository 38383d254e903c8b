"""The metrics of this service alone, each declared once."""

from __future__ import annotations

from imagesystem.metrics import SECONDS, Metrics
from prometheus_client import Counter, Gauge, Histogram

__all__ = ["Measures"]


class Measures:
    """The metadata metrics, in the registry of the process."""

    def __init__(self, metrics: Metrics) -> None:
        # When nothing that was planned is outstanding any more; status: ready, partial, failed.
        # Where documents are made anew from the log, their images count again.
        self.upload_to_ready = Histogram(
            "upload_to_ready_seconds",
            "Seconds from the upload of an image until everything planned for it was done",
            ["status"],
            buckets=(*SECONDS, 120, 300, 600, 3600),
            registry=metrics.registry,
        )
        # Browsers and others on `GET /metadata/events` of this process.
        self.open_feeds = Gauge(
            "metadata_feeds_open",
            "Live feeds that are open",
            registry=metrics.registry,
        )
        # delivered; retried: it failed and is tried again; failed: given up; superseded: there is
        # a newer state, which is delivered instead.
        self.webhook_attempts = Counter(
            "metadata_webhook_attempts_total",
            "Attempts to deliver a fact to a webhook, by outcome",
            ["outcome"],
            registry=metrics.registry,
        )
        # From the connection to the status line.
        self.webhook_seconds = Histogram(
            "metadata_webhook_seconds",
            "Seconds an endpoint took to answer",
            buckets=SECONDS,
            registry=metrics.registry,
        )
