"""Logs: JSON lines (or colours on a terminal) on standard output, one stream for everything."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, TextIO

import msgspec
import structlog

__all__ = ["configure", "get"]

_encode = msgspec.json.Encoder(enc_hook=repr).encode


def get(name: str) -> Any:
    """Return the logger called `name`; its methods take an `event` in snake_case and fields."""
    return structlog.get_logger(name)


def _ordered(service: str) -> Any:
    """Put what a reader looks for first at the front; drop uvicorn's second, coloured message."""

    def order(_logger: object, _method: str, event: Any) -> Any:
        event.pop("color_message", None)
        front = {key: event.pop(key) for key in ("timestamp", "level") if key in event}
        return {**front, "service": service, "event": event.pop("event", ""), **event}

    return order


def _to_json(_logger: object, _method: str, event: Any) -> str:
    return _encode(event).decode(errors="replace")


def configure(
    service: str,
    *,
    level: Literal["debug", "info", "warning", "error"] = "info",
    form: Literal["json", "console"] = "json",
    stream: TextIO | None = None,
) -> None:
    """Send structlog's, the standard library's and uvicorn's records to one stream.

    That is standard output, unless another one is given.
    """
    stream = stream or sys.stdout
    # No line tells them, and to ask for each costs as much as to write the line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _ordered(service),
    ]
    render: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, _to_json]
        if form == "json"
        else [structlog.dev.ConsoleRenderer(colors=stream.isatty())]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "litestar"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    for noisy in ("uvicorn.access", "nats.aio.client", "pymongo", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # while a collector is away, it warns of every try besides
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
