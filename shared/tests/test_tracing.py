"""The context that travels with every request and event, and what is recorded of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from imagesystem import otlp, tracing
from imagesystem.bus.spans import published, settled
from imagesystem.errors import Transient
from imagesystem.health import Health
from imagesystem.metrics import Metrics
from imagesystem.settings import ServiceSettings
from imagesystem.testing import client
from imagesystem.tracing import Attributes, Kind, Standing
from imagesystem.web import create_app
from litestar import Litestar, get

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=1", "x-request-id": "r-1"}


class Kept:
    """A span of `Recorder`, kept as it was said."""

    def __init__(self, number: int, name: str, kind: Kind, above: Standing | None) -> None:
        self.name, self.kind = name, kind
        self.above = above.span_id if above else ""
        self.attributes: dict[str, Any] = {}
        self.events: list[str] = []
        self.error = ""
        self.times: tuple[int | None, int | None] = (None, None)
        self.ended = False
        self.standing = Standing(
            trace_id=above.trace_id if above else TRACE,
            span_id=f"{number:016x}",
            sampled=above.sampled if above else True,
            tracestate=above.tracestate if above else "",
            request_id=above.request_id if above else "",
        )

    def set(self, attributes: Attributes) -> None:
        self.attributes |= attributes

    def named(self, name: str) -> None:
        self.name = name

    def event(self, name: str) -> None:
        self.events.append(name)

    def failed(self, error_type: str) -> None:
        self.error = error_type

    def end(self, at_ns: int | None = None) -> None:
        self.ended, self.times = True, (self.times[0], at_ns)


class Recorder:
    """Keeps spans in a list."""

    def __init__(self) -> None:
        self.spans: list[Kept] = []

    def begin(
        self,
        name: str,
        kind: Kind,
        above: Standing | None,
        attributes: Attributes,
        at_ns: int | None = None,
    ) -> Kept:
        span = Kept(len(self.spans) + 1, name, kind, above)
        span.set(attributes)
        span.times = (at_ns, None)
        self.spans.append(span)
        return span


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    tracing.recording(recorder)
    yield recorder
    tracing.recording(None)


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "nonsense",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01\r\nx-evil: 1",
    ],
)
def test_what_is_no_traceparent_begins_a_trace(traceparent: str) -> None:
    assert tracing.standing_in({"traceparent": traceparent}) is None
    with tracing.entering({"traceparent": traceparent}, "work", "server", {}):
        assert TRACE not in tracing.headers()["traceparent"]


def test_a_later_version_of_traceparent_is_understood() -> None:
    standing = tracing.standing_in({"traceparent": f"01-{TRACE}-{SPAN}-03-more"})
    assert standing is not None
    assert (standing.trace_id, standing.sampled) == (TRACE, True)


def test_without_a_recorder_the_context_goes_on_as_it_came() -> None:
    with (
        tracing.entering(GIVEN, "work", "server", {}) as span,
        tracing.span("within") as within,
    ):
        span.set({"a": 1})
        within.failed("nobody hears")
        assert tracing.headers() == GIVEN
        bound = structlog.contextvars.get_contextvars()
        assert (bound["trace_id"], bound["request_id"]) == (TRACE, "r-1")
    assert tracing.here() is None


def test_what_begins_here_and_is_not_recorded_says_so() -> None:
    flags = tracing.headers()["traceparent"].rpartition("-")[2]
    assert flags == "00", "a subscriber that follows the flag has nothing to look for"


@pytest.mark.parametrize("name", ["tracestate", "x-request-id"])
@pytest.mark.parametrize("bad", ["line\r\nbreak", "x" * 600, "ümlaut"])
def test_what_cannot_be_a_header_is_not_sent_on(name: str, bad: str) -> None:
    with tracing.entering(GIVEN | {name: bad}, "work", "server", {}):
        assert name not in tracing.headers()


def test_spans_stand_beneath_each_other(recorder: Recorder) -> None:
    with tracing.entering(GIVEN, "request", "server", {}):
        with tracing.span("outer"), tracing.span("inner", "client", {"a": 1}):
            sent = tracing.headers()
        with tracing.span("beside"):
            pass
    request, outer, inner, beside = recorder.spans
    assert [span.name for span in recorder.spans] == ["request", "outer", "inner", "beside"]
    assert request.above == SPAN
    assert outer.above == beside.above == request.standing.span_id
    assert inner.above == outer.standing.span_id
    assert (inner.kind, inner.attributes) == ("client", {"a": 1})
    assert sent["traceparent"] == f"00-{TRACE}-{inner.standing.span_id}-01"
    assert sent["tracestate"] == "a=1"
    assert sent["x-request-id"] == "r-1"
    assert all(span.ended for span in recorder.spans)


def test_an_error_is_told_by_its_code_and_goes_on(recorder: Recorder) -> None:
    with (
        tracing.entering(GIVEN, "request", "server", {}),
        pytest.raises(Transient),
        tracing.span("work"),
    ):
        raise Transient("later", code="too_busy")
    assert [span.error for span in recorder.spans] == ["", "too_busy"]
    assert all(span.ended for span in recorder.spans)


def test_a_cancellation_is_no_error(recorder: Recorder) -> None:
    with (
        tracing.entering(GIVEN, "request", "server", {}),
        pytest.raises(asyncio.CancelledError),
        tracing.span("work"),
    ):
        raise asyncio.CancelledError
    assert not recorder.spans[1].error
    assert recorder.spans[1].ended


def test_nothing_is_recorded_beneath_what_is_not_sampled(recorder: Recorder) -> None:
    with tracing.entering({"traceparent": f"00-{TRACE}-{SPAN}-00"}, "request", "server", {}):
        with tracing.span("within"):
            pass
        tracing.record("before", 0.1)
    assert [span.name for span in recorder.spans] == ["request"], "the recorder drops that one"


def test_nothing_is_recorded_outside_of_requests_and_deliveries(recorder: Recorder) -> None:
    with tracing.span("housekeeping"):
        pass
    tracing.record("housekeeping", 1)
    assert not recorder.spans


def test_what_was_measured_elsewhere_is_put_where_it_was(recorder: Recorder) -> None:
    with tracing.entering(GIVEN, "request", "server", {}):
        tracing.record("decode", 0.2, ago_s=0.1)
        tracing.record("look", 0.1)
    decode, look = (span.times for span in recorder.spans[1:])
    assert decode[0] is not None
    assert decode[1] is not None
    assert look[0] is not None
    assert decode[1] - decode[0] == 200_000_000
    assert decode[0] < decode[1] <= look[0] + 10_000_000


def test_spans_of_messages_have_names_without_ids() -> None:
    subject = "images.v1.0f0c.inferred.analysis"
    name, kind, attributes = published(subject, "e-1", 10)
    assert (name, kind) == ("publish images.v1.inferred.analysis", "producer")
    assert attributes["messaging.destination.name"] == subject
    assert attributes["messaging.operation.type"] == "send"
    assert attributes["imagesystem.image_id"] == "0f0c"
    for outcome, error in (("done", ""), ("gone", ""), ("retried", "retried"), ("dead", "dead")):
        span = Kept(1, "handle", "consumer", None)
        settled(span, outcome)
        assert (span.attributes["imagesystem.outcome"], span.error) == (outcome, error)


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@get("/registry/pictures")
async def pictures() -> dict[str, str]:
    with tracing.span("work"):
        return tracing.headers()


@asynccontextmanager
async def lifespan(_: Litestar) -> AsyncIterator[None]:
    yield


def app(settings: ServiceSettings) -> Litestar:
    return create_app(
        settings=settings,
        health=Health("registry"),
        measures=Metrics(),
        routes=[pictures],
        lifespan=lifespan,
    )


async def test_requests_are_answered_though_nobody_takes_the_spans(unused_port: int) -> None:
    settings = ServiceSettings(otlp_endpoint=f"http://127.0.0.1:{unused_port}")
    async with client(app(settings)) as http:
        answer = await http.get("/registry/pictures", headers=GIVEN)
    assert answer.status_code == 200
    sent = answer.json()["traceparent"].split("-")
    assert (sent[1], sent[3]) == (TRACE, "01")
    assert sent[2] != SPAN, "a span of its own"


async def test_the_share_that_is_traced_is_a_setting(unused_port: int) -> None:
    endpoint = f"http://127.0.0.1:{unused_port}"
    for ratio, flags in ((0.0, "00"), (1.0, "01")):
        settings = ServiceSettings(otlp_endpoint=endpoint, trace_ratio=ratio)
        async with client(app(settings)) as http:
            new = (await http.get("/registry/pictures")).json()["traceparent"]
            given = (await http.get("/registry/pictures", headers=GIVEN)).json()["traceparent"]
        assert new.endswith(flags)
        assert given.endswith("01"), "who asks for a trace gets it"


def test_without_an_endpoint_nothing_is_missing() -> None:
    assert otlp.missing(ServiceSettings()) is None
    assert otlp.missing(ServiceSettings(otlp_endpoint="http://127.0.0.1:4318")) is None
