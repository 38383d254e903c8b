"""The process of a service: settings → app → uvicorn."""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import uvicorn
from litestar import Litestar

from imagesystem import logs, otlp
from imagesystem import settings as settings_module
from imagesystem.settings import BadSettings, ServiceSettings

__all__ = ["before_stopping", "run", "spare_garbage"]

S = TypeVar("S", bound=ServiceSettings)
#: The exit status when the app could not start, as of uvicorn itself.
STARTUP_FAILED = 3
#: New objects after which the youngest are looked through for garbage (what is in cycles; the rest
#: goes at once), and how often the older ones are. Python's own 700 is passed several times by
#: every large answer: a quarter of the time of a page of pictures went there.
GARBAGE = (20_000, 20, 20)


def run(service: str, kind: type[S], create_app: Callable[[S], Litestar]) -> None:
    """Read the settings, then serve until SIGTERM or SIGINT (a second one aborts).

    Every wrong setting is printed, and the exit status is then 2.
    """
    try:
        settings = settings_module.load(kind, os.environ)
    except BadSettings as error:
        for problem in error.problems:
            print(f"{service}: {problem}", file=sys.stderr)  # noqa: T201  before there are logs
        raise SystemExit(2) from None
    if (missing := otlp.missing(settings)) is not None:
        print(f"{service}: {missing}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2)
    logs.configure(service, level=settings.log_level, form=settings.log_format)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.http_host,
        port=settings.http_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=20,
        timeout_keep_alive=75,
        h11_max_incomplete_event_size=64 * 1024,
    )
    server = _Server(config, app)
    with suppress(KeyboardInterrupt):  # raised again by uvicorn once it has stopped
        server.run()
    if not server.started:
        raise SystemExit(STARTUP_FAILED)


def before_stopping(app: Litestar, call: Callable[[], None]) -> None:
    """Call `call` when the process is told to stop, before open requests are waited for.

    For requests that do not end by themselves, as live feeds.
    """
    app.state.setdefault("before_stopping", []).append(call)


def spare_garbage() -> None:
    """Have the garbage collector look at what is new, and less often.

    What is there when a service begins to serve (modules, routes, tables) stays: to go through it
    again and again took a fifth of the time of large answers.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)


class _Server(uvicorn.Server):
    """Tells the app that it is about to stop (uvicorn does so when all requests have ended)."""

    def __init__(self, config: uvicorn.Config, app: Litestar) -> None:
        super().__init__(config)
        self._app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        spare_garbage()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for call in self._app.state.get("before_stopping", []):
            call()
        await super().shutdown(sockets)
