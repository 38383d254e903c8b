"""Every metric of the services, declared once, with unit and meaning."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

__all__ = ["CONTENT_TYPE", "Metrics", "render"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # Requests answered, by method, route template and status.
        self.requests = Counter(
            "http_requests_total",
            "HTTP requests answered",
            ["method", "route", "status"],
            registry=self.registry,
        )
        # From the first byte of a request to the last byte of its answer.
        self.request_seconds = Histogram(
            "http_request_seconds",
            "Seconds from request to answer",
            ["method", "route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        # What became of messages: done, retried, dead, gone (tombstone), undecodable.
        self.handled = Counter(
            "events_handled_total",
            "Messages handled, by consumer and outcome",
            ["consumer", "outcome"],
            registry=self.registry,
        )
        # Time inside the handler, per delivery.
        self.handling_seconds = Histogram(
            "event_handling_seconds",
            "Seconds a handler took for one message",
            ["consumer"],
            buckets=SECONDS,
            registry=self.registry,
        )
        # Handlers running now.
        self.in_flight = Gauge(
            "events_in_flight",
            "Messages being handled now",
            ["consumer"],
            registry=self.registry,
        )


def render(metrics: Metrics) -> bytes:
    """Return the metrics in Prometheus's text format."""
    return generate_latest(metrics.registry)
