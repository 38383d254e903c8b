"""Spans to a collector, by OpenTelemetry's SDK and OTLP over HTTP.

Nothing of OpenTelemetry is imported unless `OTLP_ENDPOINT` is set: it costs a process 17 MB and
0.2 s at its start. It is the extra `imagesystem[tracing]`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from imagesystem import tracing
from imagesystem.settings import ServiceSettings
from imagesystem.tracing import Attributes, Kind, Recorder, Standing

if TYPE_CHECKING:
    from opentelemetry.trace import Span

__all__ = ["OtlpRecorder", "exporting", "missing"]

#: Spans that wait to be sent; what comes on top of that is dropped, never waited for.
QUEUE = 16_384
BATCH = 512
EVERY_MS = 1000
#: Seconds for one batch; seconds for what is left when the process stops.
TIMEOUT_S = 5.0
CLOSE_S = 2.0


def missing(settings: ServiceSettings) -> str | None:
    """Return one line if spans are to be sent and the packages for that are not installed."""
    if not settings.otlp_endpoint:
        return None
    with suppress(ModuleNotFoundError):
        if find_spec("opentelemetry.sdk") and find_spec("opentelemetry.exporter.otlp"):
            return None
    return "OTLP_ENDPOINT is set, but `imagesystem[tracing]` is not installed"


@asynccontextmanager
async def exporting(
    service: str, version: str, settings: ServiceSettings
) -> AsyncIterator[Recorder | None]:
    """Record what is started in this context; yields None if no `OTLP_ENDPOINT` is set.

    What has not been sent at the end is sent then, for `CLOSE_S` at most.
    """
    if not settings.otlp_endpoint:
        yield None
        return
    recorder = OtlpRecorder(service, version, settings)
    tracing.recording(recorder)
    try:
        yield recorder
    finally:
        tracing.recording(None)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await asyncio.to_thread(recorder.close)


class OtlpRecorder:
    """See `imagesystem.tracing.Recorder`."""

    def __init__(self, service: str, version: str, settings: ServiceSettings) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio  # noqa: PLC0415

        self._provider = TracerProvider(
            sampler=ParentBasedTraceIdRatio(settings.trace_ratio),
            resource=Resource.create(
                {
                    "service.namespace": "image-system",
                    "service.name": service,
                    "service.version": version,
                    "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
                }
            ),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                OTLPSpanExporter(
                    endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout=TIMEOUT_S
                ),
                max_queue_size=QUEUE,
                max_export_batch_size=BATCH,
                schedule_delay_millis=EVERY_MS,
            )
        )
        self._tracer = self._provider.get_tracer("imagesystem", version)

    def begin(
        self,
        name: str,
        kind: Kind,
        above: Standing | None,
        attributes: Attributes,
        at_ns: int | None = None,
    ) -> _OtlpSpan:
        """See `Recorder.begin`."""
        from opentelemetry import context, trace  # noqa: PLC0415

        where = context.Context()
        if above is not None:
            parent = trace.SpanContext(
                int(above.trace_id, 16),
                int(above.span_id, 16),
                is_remote=kind in ("server", "consumer"),
                trace_flags=trace.TraceFlags(int(above.sampled)),
                trace_state=trace.TraceState.from_header([above.tracestate]),
            )
            where = trace.set_span_in_context(trace.NonRecordingSpan(parent), where)
        span = self._tracer.start_span(
            name,
            where,
            kind=trace.SpanKind[kind.upper()],
            attributes=dict(attributes),
            start_time=at_ns,
        )
        return _OtlpSpan(span, above)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


class _OtlpSpan:
    """A span of the SDK; what goes along with its parent goes along with it."""

    def __init__(self, span: Span, above: Standing | None) -> None:
        self._span = span
        found = span.get_span_context()
        self.standing = Standing(
            trace_id=f"{found.trace_id:032x}",
            span_id=f"{found.span_id:016x}",
            sampled=found.trace_flags.sampled,
            tracestate=above.tracestate if above else "",
            request_id=above.request_id if above else "",
        )

    def set(self, attributes: Attributes) -> None:
        """See `Span.set`."""
        self._span.set_attributes(dict(attributes))

    def named(self, name: str) -> None:
        """See `Span.named`."""
        self._span.update_name(name)

    def event(self, name: str) -> None:
        """See `Span.event`."""
        self._span.add_event(name)

    def failed(self, error_type: str) -> None:
        """See `Span.failed`."""
        from opentelemetry.trace import StatusCode  # noqa: PLC0415

        self._span.set_attribute("error.type", error_type)
        self._span.set_status(StatusCode.ERROR)

    def end(self, at_ns: int | None = None) -> None:
        """See `Recorded.end`."""
        self._span.end(at_ns)
