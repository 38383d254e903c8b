"""The process of a service: settings → app → uvicorn."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TypeVar

import uvicorn
from litestar import Litestar

from imagesystem import logs, otlp
from imagesystem import settings as settings_module
from imagesystem.settings import BadSettings, ServiceSettings

__all__ = ["run"]

S = TypeVar("S", bound=ServiceSettings)


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
    uvicorn.run(
        create_app(settings),
        host=settings.http_host,
        port=settings.http_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=20,
        timeout_keep_alive=75,
        h11_max_incomplete_event_size=64 * 1024,
    )
