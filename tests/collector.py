"""A collector of traces: takes spans by OTLP over HTTP, and can be asked for them."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

__all__ = ["Collector", "Span", "collecting"]


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A span as it came; ids in hex, times in nanoseconds since 1970, `parent` "" for a root."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent: str
    start_ns: int
    end_ns: int
    attributes: dict[str, str | int | float | bool]
    tracestate: str
    failed: bool

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return (self.end_ns - self.start_ns) / 1e9


class Collector:
    """What has come so far."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._spans: list[Span] = []
        self._lock = threading.Lock()

    def take(self, body: bytes) -> None:
        """Take an export request."""
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            for resource in request.resource_spans:
                service = _plain(resource.resource.attributes)["service.name"]
                for scope in resource.scope_spans:
                    self._spans += [_span(str(service), span) for span in scope.spans]

    def spans(self) -> list[Span]:
        """Return all spans so far."""
        with self._lock:
            return list(self._spans)

    def trace(self, trace_id: str) -> list[Span]:
        """Return the spans of one trace, by their beginning."""
        own = [span for span in self.spans() if span.trace_id == trace_id]
        return sorted(own, key=lambda span: span.start_ns)


@contextmanager
def collecting() -> Iterator[Collector]:
    """Collect on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collector.take(body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _span(service: str, span: WireSpan) -> Span:
    return Span(
        service=service,
        name=span.name,
        kind=WireSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_plain(span.attributes),
        tracestate=span.trace_state,
        failed=span.status.code == 2,
    )


def _plain(attributes: Iterator[KeyValue]) -> dict[str, str | int | float | bool]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}
