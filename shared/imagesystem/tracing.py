"""One trace, and one request id, from the HTTP request through every event to every handler.

The context (W3C `traceparent` and `tracestate`, and `x-request-id`) always travels: it costs next
to nothing, and it is what log lines are found by. Spans are recorded only where a `Recorder` is at
work (`OTLP_ENDPOINT`, see `imagesystem.otlp`); without one, `span` does nothing. Names and
attributes of spans follow OpenTelemetry's semantic conventions.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Literal, Protocol, TypeAlias

import msgspec
import structlog

__all__ = [
    "Attributes",
    "Kind",
    "Recorder",
    "Span",
    "Standing",
    "entering",
    "headers",
    "here",
    "record",
    "recording",
    "request_id",
    "span",
    "standing_in",
]

Attributes: TypeAlias = Mapping[str, str | int | float | bool]
Kind: TypeAlias = Literal["internal", "server", "client", "producer", "consumer"]

#: W3C Trace Context: later versions may add fields behind these.
_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_TRACESTATE = re.compile(r"[\x20-\x7e]{1,512}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where work stands in a trace: ids in hex (32 and 16 digits), and what goes along."""

    trace_id: str
    span_id: str
    sampled: bool
    tracestate: str = ""
    request_id: str = ""


class Span(Protocol):
    """What can be said about a span while it lasts."""

    def set(self, attributes: Attributes) -> None:
        """Add attributes."""

    def named(self, name: str) -> None:
        """Give it the name that was not known when it began."""

    def event(self, name: str) -> None:
        """Note that something happened just now."""

    def failed(self, error_type: str) -> None:
        """Mark it as an error, by its code or class."""


class Recorded(Span, Protocol):
    """A span that a recorder began."""

    @property
    def standing(self) -> Standing:
        """Where work beneath it stands."""
        ...

    def end(self, at_ns: int | None = None) -> None:
        """End it, now or then (nanoseconds since 1970)."""


class Recorder(Protocol):
    """Where spans go."""

    def begin(
        self,
        name: str,
        kind: Kind,
        above: Standing | None,
        attributes: Attributes,
        at_ns: int | None = None,
    ) -> Recorded:
        """Begin a span beneath `above` (None: a trace of its own), now or then."""
        ...


class _Nothing:
    """The span where nothing is recorded."""

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def set(self, attributes: Attributes) -> None:
        pass

    def named(self, name: str) -> None:
        pass

    def event(self, name: str) -> None:
        pass

    def failed(self, error_type: str) -> None:
        pass


_NOTHING = _Nothing()
_recorder: ContextVar[Recorder | None] = ContextVar("recorder", default=None)
_here: ContextVar[Standing | None] = ContextVar("standing", default=None)


class _Open:
    """A span as a context manager; an exception that leaves it marks it as an error."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded

    def __enter__(self) -> Span:
        self._token = _here.set(self._recorded.standing)
        return self._recorded

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        _here.reset(self._token)
        if isinstance(error, Exception):
            self._recorded.failed(str(getattr(error, "code", "") or type(error).__name__))
        self._recorded.end()


def recording(recorder: Recorder | None) -> None:
    """Have everything that is started from here on record its spans there."""
    _recorder.set(recorder)


def here() -> Standing | None:
    """Return where the work in hand stands, None outside of any request or delivery."""
    return _here.get()


def request_id(text: str | None) -> str | None:
    """Return `text` if it can be a request id: 1 to 64 letters, digits and `._:-`."""
    return text if text and _REQUEST_ID.fullmatch(text) else None


def headers() -> dict[str, str]:
    """Return the headers that carry the trace on: of the work in hand, or of a new trace."""
    standing = _here.get() or _new()
    found = {
        "traceparent": f"00-{standing.trace_id}-{standing.span_id}-{int(standing.sampled):02x}"
    }
    if standing.tracestate:
        found["tracestate"] = standing.tracestate
    if standing.request_id:
        found["x-request-id"] = standing.request_id
    return found


def standing_in(given: Mapping[str, str]) -> Standing | None:
    """Return where headers (names in lower case) say that the work stands, None if they do not."""
    match = _TRACEPARENT.fullmatch(given.get("traceparent", ""))
    if match is None or (match[1] == "00" and match[5]):
        return None
    state = given.get("tracestate", "")
    return Standing(
        trace_id=match[2],
        span_id=match[3],
        sampled=bool(int(match[4], 16) & 1),
        tracestate=state if _TRACESTATE.fullmatch(state) else "",
        request_id=request_id(given.get("x-request-id")) or "",
    )


@contextmanager
def entering(
    given: Mapping[str, str], name: str, kind: Kind, attributes: Attributes
) -> Iterator[Span]:
    """Take up the trace of a request's or a message's headers, or begin one.

    Trace id and request id are bound to the logs for as long.
    """
    above, recorder = standing_in(given), _recorder.get()
    request = request_id(given.get("x-request-id")) or ""
    if recorder is None:
        span: Span = _NOTHING
        standing = above or _new()
    else:
        span = recorded = recorder.begin(name, kind, above, attributes)
        standing = recorded.standing
        if request:
            span.set({"imagesystem.request_id": request})
    token = _here.set(msgspec.structs.replace(standing, request_id=request))
    bound = {"request_id": request} if request else {}
    try:
        with structlog.contextvars.bound_contextvars(trace_id=standing.trace_id, **bound):
            yield span
    except Exception as error:
        span.failed(type(error).__name__)
        raise
    finally:
        _here.reset(token)
        if recorder is not None:
            recorded.end()


def span(
    name: str, kind: Kind = "internal", attributes: Attributes | None = None
) -> AbstractContextManager[Span]:
    """Return a span beneath the work in hand; nothing where there is none or none is recorded."""
    recorder, above = _recorder.get(), _here.get()
    if recorder is None or above is None or not above.sampled:
        return _NOTHING
    return _Open(recorder.begin(name, kind, above, attributes or {}))


def record(
    name: str,
    seconds: float,
    *,
    ago_s: float = 0.0,
    above: Standing | None = None,
    kind: Kind = "internal",
    attributes: Attributes | None = None,
) -> None:
    """Record what took `seconds` and ended `ago_s` seconds ago, beneath `above` (default: here)."""
    recorder, above = _recorder.get(), above or _here.get()
    if recorder is None or above is None or not above.sampled:
        return
    end = time.time_ns() - int(ago_s * 1e9)
    begun = end - int(seconds * 1e9)
    recorder.begin(name, kind, above, attributes or {}, begun).end(end)


def _new() -> Standing:
    """Return the beginning of a trace that nobody records."""
    return Standing(trace_id=secrets.token_hex(16), span_id=secrets.token_hex(8), sampled=False)
