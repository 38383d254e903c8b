"""W3C trace context: one trace id from the HTTP request through every event to every handler."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import structlog

__all__ = ["current", "span", "trace_id"]

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def current() -> str:
    """Return the `traceparent` to send on: of the current trace, or of a new one."""
    return _current.get() or f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def trace_id(traceparent: str | None) -> str | None:
    """Return the trace id (32 hex digits) in a `traceparent`, None if it is not one."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    return match[1] if match else None


@contextmanager
def span(traceparent: str | None) -> Iterator[str]:
    """Continue the trace of `traceparent` (or begin one) with a span of its own.

    Yields the trace id, which is bound to the logs for as long.
    """
    trace = trace_id(traceparent) or secrets.token_hex(16)
    token = _current.set(f"00-{trace}-{secrets.token_hex(8)}-01")
    try:
        with structlog.contextvars.bound_contextvars(trace_id=trace):
            yield trace
    finally:
        _current.reset(token)
