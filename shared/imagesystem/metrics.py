"""Every metric of the services, declared once, with unit and meaning."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
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
        # done; gone: the image is deleted; retried; dead: a dead letter; returned: the service
        # stopped while a dependency was down.
        self.handled = Counter(
            "events_handled_total",
            "Deliveries handled, by consumer and outcome",
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
        # First deliveries only: how far behind the consumer is, in time.
        self.event_age = Histogram(
            "event_age_seconds",
            "Seconds from the publish of a message to its delivery",
            ["consumer"],
            buckets=SECONDS,
            registry=self.registry,
        )
        # The consumer's lag. Of the durable, so the same in every replica: take the maximum.
        self.pending = Gauge(
            "consumer_pending_messages",
            "Messages of a durable consumer that were not delivered yet",
            ["consumer"],
            registry=self.registry,
        )
        # In all replicas together.
        self.unacknowledged = Gauge(
            "consumer_unacknowledged_messages",
            "Messages of a durable consumer that were delivered and not acknowledged yet",
            ["consumer"],
            registry=self.registry,
        )
        # Handlers running now.
        self.in_flight = Gauge(
            "events_in_flight",
            "Messages being handled now",
            ["consumer"],
            registry=self.registry,
        )
        # Too much failed for good: the consumer paused itself for BRAKE_PAUSE_S.
        self.brakes = Counter(
            "consumer_brakes_total",
            "Times that a consumer paused itself",
            ["consumer"],
            registry=self.registry,
        )
        # Work that was asked for and is done later: tasks of inference again, by task; tasks of
        # augmentation, by kind.
        self.tasks_queued = Counter(
            "tasks_queued_total",
            "Tasks queued, by what is to be done",
            ["task"],
            registry=self.registry,
        )
        # Whole objects and ranges, from the store, not to clients.
        self.objects_read = Counter(
            "objects_read_bytes_total",
            "Bytes read from object buckets",
            ["bucket"],
            registry=self.registry,
        )
        self.objects_written = Counter(
            "objects_written_bytes_total",
            "Bytes of objects written to object buckets",
            ["bucket"],
            registry=self.registry,
        )
        # put, get, info, delete. Of a streamed read, as long as whoever reads took for it.
        self.object_seconds = Histogram(
            "object_operation_seconds",
            "Seconds an object operation took",
            ["bucket", "operation"],
            buckets=SECONDS,
            registry=self.registry,
        )
        # Of this process; worker processes are not in it.
        self.process = ProcessCollector(registry=self.registry)


def render(metrics: Metrics) -> bytes:
    """Return the metrics in Prometheus's text format."""
    return generate_latest(metrics.registry)
